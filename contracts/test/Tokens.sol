// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MockToken} from "../src/mocks/MockToken.sol";
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

/// @dev Says false instead of reverting, to all transfers or to those into one address.
contract FalseToken is MockToken("False", "FALSE", 18) {
    address public refused;

    function setRefused(address who) external {
        refused = who;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return to != refused && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return to != refused && super.transferFrom(from, to, value);
    }
}

/// @dev Returns nothing from transfers, as USDT does.
contract NoReturnToken {
    uint8 public constant decimals = 6;
    mapping(address who => uint256) public balanceOf;

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
    }

    function approve(address, uint256) external pure returns (bool) {
        return true;
    }

    function transfer(address to, uint256 value) external {
        (balanceOf[msg.sender], balanceOf[to]) =
        (balanceOf[msg.sender] - value, balanceOf[to] + value);
    }

    function transferFrom(address from, address to, uint256 value) external {
        (balanceOf[from], balanceOf[to]) = (balanceOf[from] - value, balanceOf[to] + value);
    }
}

/// @dev Changes everybody's balance by itself.
contract RebasingToken is MockToken("Rebasing", "REB", 18) {
    uint256 public percent = 100;

    function rebase(uint256 percent_) external {
        percent = percent_;
    }

    function balanceOf(address who) public view override returns (uint256) {
        return super.balanceOf(who) * percent / 100;
    }
}

/// @dev Takes one part in a hundred more from the sender than it sends.
contract SenderFeeToken is MockToken("Taxed", "TAX", 18) {
    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(from, address(0), value / 100);
    }
}
