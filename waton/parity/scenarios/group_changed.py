"""Everything that can change about a group, one change after the other."""

from collections.abc import Awaitable, Callable

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """Ada changes what the group says of itself, what it allows, and who is in it."""
    bob, ada = await stage.lab.add_phone("Bob"), stage.ada
    group = await stage.make_group(bob)
    await stage.settle()

    async def renew_invite() -> None:
        stage.rename(await ada.group_invite(group, renew=True), "INVITE")

    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "subject": lambda: ada.set_group_subject(group, "Tea"),
        "description": lambda: ada.set_group_description(group, "On Sundays"),
        "no description": lambda: ada.set_group_description(group, ""),
        "only admins write": lambda: ada.set_group_announcement(group, on=True),
        "only admins change it": lambda: ada.set_group_locked(group, on=True),
        "all may add": lambda: ada.set_group_member_add_mode(group, "all_member_add"),
        "admins let in": lambda: ada.set_group_approval(group, on=True),
        "messages go": lambda: ada.set_group_ephemeral(group, 86_400),
        "another invite": renew_invite,
        "an admin": lambda: ada.promote_in_group(group, bob.lid),
        "no admin": lambda: ada.demote_in_group(group, bob.lid),
        "one less": lambda: ada.remove_from_group(group, bob.lid),
        "one more": lambda: ada.add_to_group(group, bob.lid),
    }
    for name, change in changes.items():
        async with stage.step(name):
            await change()


SCENARIO = Scenario("group-changed", "A group is changed in every way there is.", play)
