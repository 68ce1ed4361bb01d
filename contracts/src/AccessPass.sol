// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

import {IAccessPass} from "./interfaces/IAccessPass.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";

/// @title AccessPass: a token that says its owner may take new risk, and never moves
/// @dev Knows nothing of accounts. Its id is its owner, so there is one for each. Whoever issues
/// passes can keep somebody out of new risk, and from nothing else.
contract AccessPass is IAccessPass, ERC721, AccessManaged {
    using DelayedLib for Delayed;

    bytes4 private constant ERC5192 = 0xb45a3c0e;

    uint64 public immutable DELAY;
    mapping(address owner => Delayed) internal _until;

    /// @param delay not below Clearing's CANCEL_DELAY
    constructor(address authority, uint64 delay)
        ERC721("Hybrid Options Exchange access", "HOX-ACCESS")
        AccessManaged(authority)
    {
        DELAY = delay;
    }

    /// @inheritdoc IAccessPass
    function issue(address owner, uint64 until) external restricted {
        Delayed storage stored = _until[owner];
        if (until < stored.valueAt(block.timestamp) || until < block.timestamp) revert NotLater();
        stored.setNow(until);
        emit AccessSet(owner, until);
        if (_ownerOf(uint160(owner)) != address(0)) return;
        _mint(owner, uint160(owner));
        emit Locked(uint160(owner));
    }

    /// @inheritdoc IAccessPass
    function shorten(address owner, uint64 until) external restricted {
        _requireOwned(uint160(owner));
        Delayed storage stored = _until[owner];
        if (until >= stored.valueAt(block.timestamp)) revert NotLater();
        stored.schedule(until, DELAY);
        emit AccessSet(owner, until);
    }

    /// @inheritdoc IAccessPass
    function isValidAt(address owner, uint256 time) external view returns (bool) {
        return _until[owner].valueAt(time) >= time;
    }

    /// @inheritdoc IAccessPass
    function locked(uint256 tokenId) external view returns (bool) {
        _requireOwned(tokenId);
        return true;
    }

    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == ERC5192 || super.supportsInterface(interfaceId);
    }

    /// @dev Every transfer and burn comes here; only a mint passes.
    function _update(address to, uint256 tokenId, address auth)
        internal
        override
        returns (address)
    {
        if (_ownerOf(tokenId) != address(0)) revert Soulbound();
        return super._update(to, tokenId, auth);
    }
}
