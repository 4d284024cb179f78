#!/usr/bin/env python3
"""xcut.py SOCKET SERVER BYTES - an X server at SOCKET that goes away behind that many BYTES of its clients': what comes
before goes to SERVER (such as /tmp/.X11-unix/X0).
"""
import os
import socket
import sys
import threading

path, server, left = sys.argv[1], sys.argv[2], int(sys.argv[3])


def answers(behind, client):
    while data := behind.recv(65536):
        client.sendall(data)


def asks(client, behind):
    global left
    while data := client.recv(min(left, 65536)):
        behind.sendall(data)
        left -= len(data)
        if left == 0:
            os.unlink(path)
            os._exit(0)         # and all connections with it
    behind.shutdown(socket.SHUT_WR)


door = socket.socket(socket.AF_UNIX)
door.bind(path)
door.listen()
while True:
    one, other = door.accept()[0], socket.socket(socket.AF_UNIX)
    other.connect(server)
    for work in ((answers, other, one), (asks, one, other)):
        threading.Thread(target=work[0], args=work[1:], daemon=True).start()
