"""What an attester cannot start without."""

from pathlib import Path

import pytest

from exchange.bootstrap.gateway_process import load_gateway, run_gateway
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.settlement.gateway import Place


def test_a_key_is_needed(tmp_path: Path) -> None:
    """And named by its variable."""
    with pytest.raises(StartFailed, match="EXCHANGE_ATTESTER_KEY"):
        run_gateway(Settings(state_dir=str(tmp_path)))


def test_the_file_names_both_ends(tmp_path: Path) -> None:
    """A missing or broken one is named."""
    path = tmp_path / "gateway.json"
    with pytest.raises(StartFailed, match="no gateway at"):
        load_gateway(path)
    ends = '{"hub":{"chain_id":1,"contract":"0x1","block":2},'
    path.write_text(ends + '"second":{"chain_id":3,"contract":"0x4","block":5}}')
    assert load_gateway(path).second == Place(chain_id=3, contract="0x4", block=5)
    path.write_text("{}")
    with pytest.raises(StartFailed, match="no gateway at"):
        load_gateway(path)
