"""`myna serve`: an OpenAI-compatible API and the room API, in one process.

openai_routes, _requests, _responses   OpenAI's paths, their request and response bodies
openai_chat, openai_generate           a client's chat as a prompt; generated choices
room_routes, turn_routes               the room API's paths
watched_rooms, conductor               live rooms with event logs; turns nobody waits for
background                             blocking iterators in threads, server-sent events
access_control, metrics                middleware: checks, log and counters of all requests
errors                                 error responses
server                                 the ASGI app and its process
"""
