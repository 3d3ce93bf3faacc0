"""`myna serve`: an OpenAI-compatible API and the room API, in one process.

openai_api, requests, replies   OpenAI's paths, what clients send and get
chats, hearing, spoken, stops   a client's chat as a room, and what is said in it
room_routes, watched_rooms      the room API's paths, and rooms with the events in them
background                      blocking work in threads, streams of server-sent events
access_control, metrics         every request: may it come in, and what became of it
errors                          errors as clients get them
server                          all of it together, and the process around it
"""
