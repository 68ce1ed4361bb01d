// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @dev A wallet that is a contract, for tests: does what its keyholder says, and confirms what the
/// keyholder signed, followed by any bytes, while it is in the mood.
contract MockWallet is IERC1271 {
    enum Mood {
        HONEST,
        DENYING,
        REVERTING,
        GREEDY
    }

    address internal immutable KEYHOLDER;
    Mood public mood;

    constructor(address keyholder) {
        KEYHOLDER = keyholder;
    }

    function run(address to, bytes calldata data) external {
        require(msg.sender == KEYHOLDER, "not the keyholder");
        Address.functionCall(to, data);
    }

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        require(mood != Mood.REVERTING, "no");
        while (mood == Mood.GREEDY) {}
        if (mood == Mood.DENYING) return 0;
        bool signed = ECDSA.recover(digest, signature[:65]) == KEYHOLDER;
        return signed ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
