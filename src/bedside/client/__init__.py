"""The server of ``bedside ui`` from Python: the methods of ``Session`` on an image that is open there.

with Client("http://127.0.0.1:8765", token_file="token") as server:
    session = server.open("scan.nii.gz")
    session.add_box((40, 44, 30), (84, 100, 60))
    session.save_segmentation("mask.nii.gz")
"""

from bedside.client.client import Client
from bedside.client.session import RemoteObject, RemoteSession

__all__ = ["Client", "RemoteObject", "RemoteSession"]
