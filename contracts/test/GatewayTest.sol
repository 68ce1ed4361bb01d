// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

import {Gateway} from "../src/gateway/Gateway.sol";
import {GatewayHub} from "../src/gateway/GatewayHub.sol";
import {WrappedToken} from "../src/gateway/WrappedToken.sol";
import {TokenRules} from "../src/interfaces/ICustody.sol";
import {IPassages, Passage} from "../src/interfaces/IPassages.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {Test} from "./Test.sol";

/// @dev Two chains in one machine: `onHub` and `onSecond` change the chain's id, and each contract
/// is called only under its own.
abstract contract GatewayTest is Test {
    uint256 internal constant HUB = 31_337;
    uint256 internal constant SECOND = 31_338;
    uint80 internal constant NONE = type(uint80).max;

    AccessManager internal manager = new AccessManager(address(this));
    MockToken internal token = new MockToken("Wrapped Ether", "WETH", 18);
    Gateway internal gateway;
    GatewayHub internal hub;
    WrappedToken internal wrapped;
    address[] internal attesters;
    address internal alice = address(0xA11CE);
    address internal bob = address(0xB0B);

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        attesters = three(1, 2, 3);
        // The next two contracts of this one, by their nonces: each must know the other.
        vm.chainId(SECOND);
        address ahead = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        gateway = new Gateway(address(manager), HUB, ahead, attesters, 2);
        vm.chainId(HUB);
        hub = new GatewayHub(address(manager), SECOND, address(gateway), attesters, 2);
        assertEq(ahead, address(hub), "the hub's address");
        TokenRules memory free = TokenRules(true, NONE, NONE, NONE);
        gateway.setRules(address(token), free);
        hub.setRules(address(token), free);
        wrapped = WrappedToken(hub.wrap(address(token), "WETH of the second chain", "WETH.2", 18));
    }

    function three(uint160 a, uint160 b, uint160 c) internal pure returns (address[] memory list) {
        list = new address[](3);
        (list[0], list[1], list[2]) = (address(a), address(b), address(c));
    }

    function lock(address who, uint128 amount, address to) internal returns (Passage memory) {
        vm.chainId(SECOND);
        token.mint(who, amount);
        vm.prank(who);
        token.approve(address(gateway), amount);
        expectDeparted(gateway, amount, to);
        vm.prank(who);
        gateway.lock(address(token), amount, to);
        return Passage(gateway.departed(), address(token), amount, to);
    }

    function burn(address who, uint128 amount, address to) internal returns (Passage memory) {
        vm.chainId(HUB);
        expectDeparted(hub, amount, to);
        vm.prank(who);
        hub.burn(address(token), amount, to);
        return Passage(hub.departed(), address(token), amount, to);
    }

    /// @dev Attesters act on nothing else: so each departure is told with its own number.
    function expectDeparted(IPassages side, uint128 amount, address to) internal {
        uint64 nonce = side.departed() + 1;
        vm.expectEmit(address(side));
        emit IPassages.Departed(nonce, address(token), amount, to);
    }

    function attest(IPassages side, Passage memory passage, uint256 voters) internal {
        vm.chainId(address(side) == address(hub) ? HUB : SECOND);
        for (uint256 i = 0; i < voters; i++) {
            vm.expectEmit(address(side));
            emit IPassages.Attested(passage.nonce, idAt(side, passage), attesters[i]);
            vm.prank(attesters[i]);
            side.attest(passage);
        }
    }

    /// @dev From where to where, and what.
    function idAt(IPassages side, Passage memory passage) internal view returns (bytes32) {
        return address(side) == address(hub)
            ? keccak256(abi.encode(SECOND, gateway, HUB, hub, passage))
            : keccak256(abi.encode(HUB, hub, SECOND, gateway, passage));
    }

    function arrive(IPassages side, Passage memory passage) internal {
        attest(side, passage, 2);
        vm.expectEmit(address(side));
        emit IPassages.Completed(passage.nonce, idAt(side, passage));
        side.complete(passage);
        side.claim(passage.token, passage.recipient);
    }
}
