// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MockToken} from "./MockToken.sol";

/// @title MockUSDC: test dollars that anyone may mint
contract MockUSDC is MockToken {
    constructor() MockToken("USD Coin", "USDC", 6) {}
}
