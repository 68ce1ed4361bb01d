// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title WrappedToken: stands on the hub for a token that is locked on the second chain
/// @dev Only the GatewayHub that made it mints and burns. Burning needs no allowance: the hub burns
/// of its caller alone.
contract WrappedToken is ERC20 {
    error NotHub();

    address public immutable HUB;
    uint8 internal immutable DECIMALS;

    constructor(string memory name, string memory symbol, uint8 decimals_) ERC20(name, symbol) {
        (HUB, DECIMALS) = (msg.sender, decimals_);
    }

    function mint(address to, uint256 amount) external {
        if (msg.sender != HUB) revert NotHub();
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) external {
        if (msg.sender != HUB) revert NotHub();
        _burn(from, amount);
    }

    function decimals() public view override returns (uint8) {
        return DECIMALS;
    }
}
