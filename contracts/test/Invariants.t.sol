// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Handler} from "./Handler.sol";
import {Test} from "./Test.sol";

contract InvariantsTest is Test {
    /// @dev forge asks for this shape.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler internal handler;

    function setUp() public {
        handler = new Handler();
        handler.setUp();
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](18);
        selectors[0] = Handler.deposit.selector;
        selectors[1] = Handler.trade.selector;
        selectors[2] = Handler.withdraw.selector;
        selectors[3] = Handler.payOff.selector;
        selectors[4] = Handler.realise.selector;
        selectors[5] = Handler.raiseFloor.selector;
        selectors[6] = Handler.setSessionKey.selector;
        selectors[7] = Handler.pass.selector;
        selectors[8] = Handler.quote.selector;
        selectors[9] = Handler.accrue.selector;
        selectors[10] = Handler.transfer.selector;
        selectors[11] = Handler.charge.selector;
        selectors[12] = Handler.requestExit.selector;
        selectors[13] = Handler.payExit.selector;
        selectors[14] = Handler.depositEther.selector;
        selectors[15] = Handler.withdrawEther.selector;
        selectors[16] = Handler.cancelNonce.selector;
        selectors[17] = Handler.raiseSheetFloor.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev One campaign for all sentences: five would repeat the same histories.
    function invariant_books_balance_and_promises_hold() public view {
        cash_in_accounts_unpaid_payoffs_and_held_money_are_what_came_in_less_what_left();
        the_token_balance_is_the_ledger();
        each_token_is_what_came_in_less_what_left();
        positions_net_to_zero_until_they_are_paid_off();
        positions_are_counted();
        no_batch_settles_twice();
        nonce_floors_never_fall();
        sheet_nonces_are_those_of_the_last_sheet_that_filled();
    }

    function cash_in_accounts_unpaid_payoffs_and_held_money_are_what_came_in_less_what_left()
        internal
        view
    {
        int256 paidIn = int256(handler.deposited()) - int256(handler.withdrawn());
        assertEq(paidIn, ledger(), "cash");
    }

    function the_token_balance_is_the_ledger() internal view {
        assertEq(int256(handler.tokenBalance()), ledger(), "balance");
    }

    function each_token_is_what_came_in_less_what_left() internal view {
        uint256 owned = handler.etherTotal();
        assertEq(handler.etherIn() - handler.etherOut(), owned, "tokens owned");
        (uint256 counted, uint256 held) = handler.etherBalance();
        assertEq(owned, counted, "tokens counted");
        assertTrue(held >= owned, "tokens held");
    }

    function positions_net_to_zero_until_they_are_paid_off() internal view {
        for (uint256 i = 0; i < handler.instrumentCount(); i++) {
            uint64 instrument = handler.instruments(i);
            if (handler.fixedAt(handler.expiryOf(instrument))) continue;
            assertEq(0, handler.netPosition(instrument), "net position");
        }
    }

    function positions_are_counted() internal view {
        assertTrue(handler.positionsAreCounted(), "count");
    }

    function no_batch_settles_twice() internal view {
        assertTrue(!handler.settledTwice(), "twice");
        assertEq(handler.settled(), handler.batchNumber(), "one number for each batch");
    }

    function nonce_floors_never_fall() internal view {
        assertTrue(!handler.floorFell(), "floor");
    }

    function sheet_nonces_are_those_of_the_last_sheet_that_filled() internal view {
        assertTrue(!handler.sheetWentBack(), "sheet");
    }

    function ledger() internal view returns (int256) {
        return
            handler.cashTotal() + handler.unpaidPayoffs() + handler.heldTotal()
                - handler.owedTotal();
    }

    /// @dev After any history each kind of batch still settles: nothing above holds because nothing
    /// happens.
    function afterInvariant() public {
        (uint256 trades, uint256 payoffs) = (handler.trades(), handler.payoffs());
        uint256 quotes = handler.quotes();
        handler.deposit(0, 100e6);
        handler.deposit(1, 1e12);
        handler.trade(0, 1, 0, 5, 5);
        handler.quote(0, 1, 0, 5);
        handler.withdraw(1, 1);
        uint256 transfers = handler.transfers();
        handler.transfer(1, 5, false);
        handler.transfer(1, 5, true);
        assertEq(transfers + 2, handler.transfers(), "transfers");
        handler.charge();
        handler.trade(0, 1, 6, 5, 7);
        handler.accrue(3);
        handler.trade(1, 0, 6, 9, 2);
        handler.payOff(0, 0);
        handler.depositEther(0, 1e18);
        handler.withdrawEther(0, 5);
        handler.raiseSheetFloor(0);
        uint256 cancels = handler.cancels();
        handler.cancelNonce(0);
        assertEq(cancels + 1, handler.cancels(), "cancels");
        handler.quote(0, 1, 0, 5);
        uint256 exits = handler.exits();
        handler.exitNow();
        assertEq(exits + 1, handler.exits(), "exits");
        assertEq(trades + 3, handler.trades(), "trades");
        assertEq(payoffs + 1, handler.payoffs(), "payoffs");
        assertEq(quotes + 2, handler.quotes(), "quotes");
        assertTrue(handler.settled() > 3, "batches");
        invariant_books_balance_and_promises_hold();
        handler.end();
        assertEq(handler.heldTotal(), int256(handler.tokenBalance()), "all is paid out");
    }
}
