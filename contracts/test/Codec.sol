// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Batch as PackedBatch,
    Due,
    Funding,
    Header,
    Interest,
    Leg,
    Order,
    Payoff,
    SignedSheet,
    Takeover,
    Withdraw
} from "../src/interfaces/IClearing.sol";
import {MarksProof} from "../src/libraries/MarksLib.sol";
import {PackedLib} from "../src/libraries/PackedLib.sol";

/// @dev An order with its 65 byte signature r, s, v; or, for a leaf of a quote sheet, with one word
/// for the sheet's place in Batch.sheets and the 32 byte nodes of its Merkle proof; or, of a forced
/// order, with nothing.
struct SignedOrder {
    Order order;
    bytes signature;
}

/// @dev One match of two orders of the batch; fees are for the whole fill.
struct Fill {
    uint32 seqOffset;
    uint32 time;
    uint32 maker; // index into Batch.orders
    uint32 taker; // index into Batch.orders
    uint16 leg;
    uint64 quantity;
    int64 price;
    uint64 makerFee;
    uint64 takerFee;
}

/// @dev A batch before it is packed; its orders lie in any order.
struct Batch {
    Header header;
    SignedOrder[] orders;
    Fill[] fills;
    SignedSheet[] sheets;
    Leg[][] combos;
    Funding[] fundings;
    Payoff[] payoffs;
    Withdraw[] withdrawals;
    Interest[] interests;
    MarksProof marks;
    Takeover[] takeovers;
    Due[] dues;
}

/// @dev Packs batches as PackedLib reads them: the slow twin of settlement/packed.py.
abstract contract Codec {
    /// @dev Owner of a subaccount, whose signature names no signer; zero of one not open.
    function ownerOf(uint64 subaccountId) internal view virtual returns (address);

    function packed(Batch memory batch) internal view returns (PackedBatch memory) {
        (SignedOrder[] memory orders, uint256[] memory places) = ascending(batch.orders);
        Fill[] memory fills = new Fill[](batch.fills.length);
        for (uint256 i = 0; i < fills.length; i++) {
            fills[i] = copyOf(batch.fills[i]);
            if (fills[i].maker < places.length) fills[i].maker = uint32(places[fills[i].maker]);
            if (fills[i].taker < places.length) fills[i].taker = uint32(places[fills[i].taker]);
        }
        return packedAsIs(batch, orders, fills);
    }

    function packedAsIs(Batch memory batch, SignedOrder[] memory orders, Fill[] memory fills)
        internal
        view
        returns (PackedBatch memory)
    {
        return PackedBatch({
            header: batch.header,
            orders: records(batch, orders),
            tails: tailsOf(batch, orders),
            fills: matches(fills),
            sheets: batch.sheets,
            combos: batch.combos,
            fundings: batch.fundings,
            payoffs: batch.payoffs,
            withdrawals: batch.withdrawals,
            interests: batch.interests,
            marks: batch.marks,
            takeovers: batch.takeovers,
            dues: batch.dues
        });
    }

    function copyOf(Fill memory f) internal pure returns (Fill memory) {
        return Fill(
            f.seqOffset,
            f.time,
            f.maker,
            f.taker,
            f.leg,
            f.quantity,
            f.price,
            f.makerFee,
            f.takerFee
        );
    }

    /// @return sorted by (subaccountId, nonce, version)
    /// @return places new place of each order
    function ascending(SignedOrder[] memory orders)
        internal
        pure
        returns (SignedOrder[] memory sorted, uint256[] memory places)
    {
        uint256 n = orders.length;
        uint256[] memory keys = new uint256[](n);
        places = new uint256[](n);
        sorted = new SignedOrder[](n);
        for (uint256 i = 0; i < n; i++) {
            Order memory o = orders[i].order;
            uint256 key = uint256(o.subaccountId) << 192 | uint256(o.nonce) << 128
                | uint256(uint16(o.version)) << 64 | i;
            uint256 j = i;
            for (; j > 0 && keys[j - 1] > key; j--) {
                keys[j] = keys[j - 1];
            }
            keys[j] = key;
        }
        for (uint256 i = 0; i < n; i++) {
            sorted[i] = orders[uint64(keys[i])];
            places[uint64(keys[i])] = i;
        }
    }

    function records(Batch memory batch, SignedOrder[] memory orders)
        internal
        view
        returns (bytes memory list)
    {
        list = new bytes(PackedLib.ORDER_SIZE * orders.length);
        for (uint256 i = 0; i < orders.length; i++) {
            Order memory o = orders[i].order;
            uint256 head = uint256(o.subaccountId) << 192 | uint256(o.nonce) << 128
                | uint256(uint16(o.version)) << 112 | uint256(uint48(o.quantity)) << 64
                | uint256(uint40(o.deadline)) << 24 | flagsOf(batch, orders, i);
            uint256 instrument = o.instrument;
            if (head & PackedLib.IS_COMBO != 0) instrument = comboOf(batch, instrument);
            bytes memory one = abi.encodePacked(head, uint64(instrument), o.limitPrice, o.maxFee);
            write(list, PackedLib.ORDER_SIZE * i, one);
        }
    }

    function flagsOf(Batch memory batch, SignedOrder[] memory orders, uint256 i)
        internal
        view
        returns (uint256 flags)
    {
        SignedOrder memory signed_ = orders[i];
        Order memory o = signed_.order;
        if (o.side == 1) flags |= PackedLib.SELLS;
        if (o.reduceOnly) flags |= PackedLib.REDUCE_ONLY;
        if (o.triggerHash != 0) flags |= PackedLib.HAS_TRIGGER;
        if (o.instrument >> 64 != 0) flags |= PackedLib.IS_COMBO;
        if (signed_.signature.length == 0) {
            flags |= PackedLib.IS_FORCED;
        } else if (signed_.signature.length == 65) {
            bool sameAccount = i > 0 && orders[i - 1].order.subaccountId == o.subaccountId;
            address usual = sameAccount ? orders[i - 1].order.signer : ownerOf(o.subaccountId);
            if (o.signer != usual) flags |= PackedLib.HAS_SIGNER;
        } else {
            flags |= PackedLib.IS_LEAF;
            uint256 place = uint256(word(signed_.signature, 0));
            bool same = place < batch.sheets.length && batch.sheets[place].sheet.signer == o.signer;
            if (!same) flags |= PackedLib.HAS_SIGNER;
        }
    }

    /// @dev Place of the combo that hashes so; the number of combos if there is none.
    function comboOf(Batch memory batch, uint256 legsHash) internal pure returns (uint256 place) {
        while (place < batch.combos.length && legsHashOf(batch.combos[place]) != legsHash) place++;
    }

    function legsHashOf(Leg[] memory legs) internal pure returns (uint256) {
        bytes memory words = "";
        for (uint256 i = 0; i < legs.length; i++) {
            words = abi.encodePacked(words, abi.encode(legs[i]));
        }
        return uint256(keccak256(words));
    }

    function tailsOf(Batch memory batch, SignedOrder[] memory orders)
        internal
        view
        returns (bytes memory list)
    {
        bytes[] memory tails = new bytes[](orders.length);
        uint256 length = 0;
        for (uint256 i = 0; i < orders.length; i++) {
            tails[i] = tailOf(flagsOf(batch, orders, i), orders[i]);
            length += tails[i].length;
        }
        list = new bytes(length);
        length = 0;
        for (uint256 i = 0; i < orders.length; i++) {
            write(list, length, tails[i]);
            length += tails[i].length;
        }
    }

    function tailOf(uint256 flags, SignedOrder memory signed_)
        internal
        pure
        returns (bytes memory)
    {
        bytes memory signature = signed_.signature;
        if (flags & PackedLib.IS_LEAF != 0) {
            uint256 depth = signature.length / 32 - 1;
            bytes memory nodes = new bytes(32 * depth);
            for (uint256 i = 0; i < 32 * depth; i++) {
                nodes[i] = signature[32 + i];
            }
            signature = abi.encodePacked(uint16(uint256(word(signature, 0))), uint8(depth), nodes);
        }
        return abi.encodePacked(
            flags & PackedLib.HAS_SIGNER != 0 ? abi.encodePacked(signed_.order.signer) : bytes(""),
            flags & PackedLib.HAS_TRIGGER != 0
                ? abi.encodePacked(signed_.order.triggerHash)
                : bytes(""),
            signature
        );
    }

    function matches(Fill[] memory fills) internal pure returns (bytes memory list) {
        list = new bytes(PackedLib.FILL_SIZE * fills.length);
        for (uint256 i = 0; i < fills.length; i++) {
            Fill memory f = fills[i];
            bytes memory one = abi.encodePacked(
                f.seqOffset,
                f.time,
                uint24(f.maker < 1 << 24 ? f.maker : type(uint24).max),
                uint24(f.taker < 1 << 24 ? f.taker : type(uint24).max),
                f.leg,
                f.quantity,
                f.price,
                f.makerFee,
                f.takerFee
            );
            write(list, PackedLib.FILL_SIZE * i, one);
        }
    }

    function word(bytes memory data, uint256 from) internal pure returns (bytes32 value) {
        if (data.length < from + 32) return 0;
        assembly ("memory-safe") {
            value := mload(add(add(data, 0x20), from))
        }
    }

    function write(bytes memory list, uint256 from, bytes memory part) internal pure {
        assert(from + part.length <= list.length);
        assembly ("memory-safe") {
            mcopy(add(add(list, 0x20), from), add(part, 0x20), mload(part))
        }
    }
}
