// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev The cheat codes and asserts that our tests use, and no more: forge-std has no official npm
/// package.
interface Vm {
    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    function addr(uint256 privateKey) external pure returns (address);
    function assume(bool condition) external pure;
    function chainId(uint256 id) external;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function deployCode(string calldata artifact, bytes calldata arguments)
        external
        returns (address);
    function expectEmit(address emitter) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectRevert(bytes4 selector) external;
    function getNonce(address account) external view returns (uint64);
    function lastCallGas() external view returns (Gas memory);
    function etch(address target, bytes calldata code) external;
    function mockCall(address callee, bytes calldata data, bytes calldata answer) external;
    function parseJsonAddress(string calldata json, string calldata key)
        external
        pure
        returns (address);
    function parseJsonBytes(string calldata json, string calldata key)
        external
        pure
        returns (bytes memory);
    function parseJsonBytes32(string calldata json, string calldata key)
        external
        pure
        returns (bytes32);
    function parseJsonUint(string calldata json, string calldata key)
        external
        pure
        returns (uint256);
    function prank(address sender) external;
    function readFile(string calldata path) external view returns (string memory);
    function sign(uint256 privateKey, bytes32 digest)
        external
        pure
        returns (uint8 v, bytes32 r, bytes32 s);
    function toString(uint256 value) external pure returns (string memory);
    function warp(uint256 timestamp) external;
}

abstract contract Test {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @dev forge reads this mark of a test contract.
    bool public constant IS_TEST = true;

    event log_named_uint(string key, uint256 value);

    error Unequal(string what, int256 expected, int256 actual);
    error Untrue(string what);

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert Untrue(what);
    }

    function assertEq(uint256 expected, uint256 actual, string memory what) internal pure {
        if (expected != actual) revert Unequal(what, int256(expected), int256(actual));
    }

    function assertEq(int256 expected, int256 actual, string memory what) internal pure {
        if (expected != actual) revert Unequal(what, expected, actual);
    }

    function assertEq(bytes32 expected, bytes32 actual, string memory what) internal pure {
        assertEq(uint256(expected), uint256(actual), what);
    }

    function assertEq(address expected, address actual, string memory what) internal pure {
        assertEq(uint160(expected), uint160(actual), what);
    }

    /// @dev Folds any `value` into [low, high].
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }
}
