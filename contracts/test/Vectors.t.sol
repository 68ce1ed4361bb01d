// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IClearing, Order, QuoteSheet, Withdrawal} from "../src/interfaces/IClearing.sol";
import {DeliveryPrice, IOracle, IndexSample, RiskRoot} from "../src/interfaces/IOracle.sol";
import {ClearingTest} from "./ClearingTest.sol";

/// @dev The same file proves signing.py; its digests come from a third implementation.
contract VectorsTest is ClearingTest {
    struct Transfer {
        uint64 subaccountId;
        uint64 toSubaccountId;
        address token;
        uint256 amount;
        uint64 nonce;
        uint64 deadline;
        address signer;
    }

    string internal json = vm.readFile("../tests/vectors/eip712.json");

    function test_orders_hash_as_in_the_shared_vectors() public {
        IClearing there = IClearing(moved("Order", address(clearing)));
        for (uint256 i = 0; i < count("Order"); i++) {
            check("Order", i, there.hashOrder(abi.decode(words("Order", i), (Order))));
        }
    }

    function test_quote_sheets_hash_as_in_the_shared_vectors() public {
        IClearing there = IClearing(moved("QuoteSheet", address(clearing)));
        for (uint256 i = 0; i < count("QuoteSheet"); i++) {
            QuoteSheet memory sheet = abi.decode(words("QuoteSheet", i), (QuoteSheet));
            check("QuoteSheet", i, there.hashQuoteSheet(sheet));
        }
    }

    function test_withdrawals_hash_as_in_the_shared_vectors() public {
        IClearing there = IClearing(moved("Withdrawal", address(clearing)));
        for (uint256 i = 0; i < count("Withdrawal"); i++) {
            Withdrawal memory w = abi.decode(words("Withdrawal", i), (Withdrawal));
            check("Withdrawal", i, there.hashWithdrawal(w));
        }
    }

    function test_transfers_hash_as_in_the_shared_vectors() public {
        IClearing there = IClearing(moved("Transfer", address(clearing)));
        for (uint256 i = 0; i < count("Transfer"); i++) {
            Transfer memory t = abi.decode(words("Transfer", i), (Transfer));
            Withdrawal memory w = Withdrawal({
                subaccountId: t.subaccountId,
                token: t.token,
                amount: t.amount,
                recipient: address(0),
                nonce: t.nonce,
                deadline: t.deadline,
                signer: t.signer
            });
            check("Transfer", i, there.hashTransfer(w, t.toSubaccountId));
        }
    }

    function test_delivery_prices_hash_as_in_the_shared_vectors() public {
        IOracle there = IOracle(moved("DeliveryPrice", address(oracle)));
        for (uint256 i = 0; i < count("DeliveryPrice"); i++) {
            DeliveryPrice memory d = abi.decode(words("DeliveryPrice", i), (DeliveryPrice));
            check("DeliveryPrice", i, there.hashDeliveryPrice(d));
        }
    }

    function test_index_samples_hash_as_in_the_shared_vectors() public {
        IOracle there = IOracle(moved("IndexSample", address(oracle)));
        for (uint256 i = 0; i < count("IndexSample"); i++) {
            IndexSample memory s = abi.decode(words("IndexSample", i), (IndexSample));
            check("IndexSample", i, there.hashIndexSample(s));
        }
    }

    function test_risk_roots_hash_as_in_the_shared_vectors() public {
        IOracle there = IOracle(moved("RiskRoot", address(oracle)));
        for (uint256 i = 0; i < count("RiskRoot"); i++) {
            check("RiskRoot", i, there.hashRiskRoot(abi.decode(words("RiskRoot", i), (RiskRoot))));
        }
    }

    function check(string memory name, uint256 i, bytes32 digest) internal view {
        string memory at_ = vectorKey(name, i);
        assertEq(vm.parseJsonBytes32(json, string.concat(at_, ".digest")), digest, at_);
        bytes memory signature = vm.parseJsonBytes(json, string.concat(at_, ".signature"));
        address signer = vm.parseJsonAddress(json, ".signer");
        assertEq(signer, ECDSA.recover(digest, signature), at_);
    }

    /// @dev The code at the address of the vectors' domain; it then uses that address as its own.
    function moved(string memory name, address from) internal returns (address to) {
        string memory key = string.concat(".", name, ".domain.verifyingContract");
        to = vm.parseJsonAddress(json, key);
        vm.etch(to, from.code);
        vm.chainId(vm.parseJsonUint(json, string.concat(".", name, ".domain.chainId")));
    }

    function count(string memory name) internal view returns (uint256 n) {
        n = vm.parseJsonUint(json, string.concat(".", name, ".count"));
        assertTrue(n >= 20, "enough vectors");
    }

    function words(string memory name, uint256 i) internal view returns (bytes memory) {
        return vm.parseJsonBytes(json, string.concat(vectorKey(name, i), ".words"));
    }

    function vectorKey(string memory name, uint256 i) internal pure returns (string memory) {
        return string.concat(".", name, ".vectors[", vm.toString(i), "]");
    }
}
