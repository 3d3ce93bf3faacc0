"""`myna serve`: an OpenAI-compatible API and the room API, in one process.

requests, room_requests     what clients send
chats, hearing, stops       a client's chat as a room, and what is said in it
replies, errors, sse        what clients get
working                     blocking work in threads; a client that goes stops it
floors, events              rooms as watched, and what happens in them
guard, observing            every request: may it come in, and what became of it
openai_api, rooms_api       the paths
app, server                 all of it together, and the process around it
"""
