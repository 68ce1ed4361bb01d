// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MockUSDC} from "../src/mocks/MockUSDC.sol";

/// @dev Keeps one part in a hundred of every transfer.
contract FeeToken is MockUSDC {
    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value / 100;
        super._update(from, to, value - fee);
        if (fee > 0) super._update(from, address(0), fee);
    }
}

/// @dev Refuses transfers to one address, as USDC refuses blocked ones.
contract BlockingToken is MockUSDC {
    address public blocked;

    function setBlocked(address who) external {
        blocked = who;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(to != blocked || to == address(0), "blocked");
        super._update(from, to, value);
    }
}

/// @dev Calls back into the clearing from inside a transfer, and remembers whether that was
/// refused.
contract ReentrantToken is MockUSDC {
    address public target;
    bytes public attack;
    bool public tried;
    bytes public answer;

    function arm(address clearing, bytes calldata call) external {
        (target, attack, tried) = (clearing, call, false);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (attack.length == 0 || tried) return;
        tried = true;
        bool done;
        (done, answer) = target.call(attack);
        require(!done, "reentered");
    }
}
