"""A program's first call: account, room and token over REST, media and data over the official Python SDK."""

from tests.journeys.people import Call, Person
from tests.platform import Platform


async def test_a_program_signs_up_and_talks_to_a_guest(platform: Platform, person: Person) -> None:
    room = await person.create_room()
    host, guest = await room.host(), await room.guest()
    assert host.room == guest.room == room.id
    assert host.url == platform.media_url
    async with Call() as alice, Call() as bob:
        await alice.join(host)
        await bob.join(guest)
        await alice.publish()
        await bob.publish()
        await alice.sees_more()
        await bob.sees_more()
        await alice.say(b"hello from alice")
        await bob.hears(b"hello from alice")
        await bob.say(b"hello from bob")
        await alice.hears(b"hello from bob")


async def test_a_late_joiner_receives_what_is_already_published(person: Person) -> None:
    room = await person.create_room()
    async with Call() as speaker, Call() as late:
        await speaker.join(await room.host())
        await speaker.publish()
        await late.join(await room.guest())
        await late.sees_more()


async def test_a_call_is_recorded_as_events_in_their_order(person: Person) -> None:
    room = await person.create_room()
    async with Call() as call:
        await call.join(await room.host())
        await call.publish()
        await person.event(room.id, "track.published", count=2)
    await person.event(room.id, "participant.left")
    events = await person.events(room.id)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    types = [event["type"] for event in events]
    expected = ["room.created", "room.started", "participant.joined", "track.published", "participant.left"]
    assert [kind for kind in dict.fromkeys(types) if kind in expected] == expected
