"""What waits for the chain, as the relayer reports it and keepers read it."""

import asyncio

from tests.unit.api.test_admin import ask
from tests.unit.api.world import call

POST = {"key": "batch:1", "kind": "batch", "to": "0xaa", "data": "0x01", "waiting_s": 12}


def test_keepers_see_what_the_relayer_cannot_get_in(world):
    """Nothing at first; then the last report."""
    assert asyncio.run(call(world, "public/get_pending_posts"))["result"] == []
    for posts in ([POST], []):
        reply = ask(world, "POST", "/admin/pending_posts", json={"posts": posts})
        assert reply.json() == {"posts": len(posts)}
        assert asyncio.run(call(world, "public/get_pending_posts"))["result"] == posts


def test_without_a_gateway_nobody_is_shown_anything(world):
    """The operator's listener may stand alone."""
    reply = ask(world, "POST", "/admin/pending_posts", json={"posts": [POST]}, gateway=False)
    assert reply.json() == {"posts": 1}
    assert world.gateway.pending_posts == ()
