"""What test_faults.sh does to stores and models, and asks of them.

    flip STORE DATASET ROW     flip a bit in the middle of a dataset's row
    lose STORE DATASET FIRST END   make rows zero
    begun STORE                print how many pictures were begun, and how many are finished
    await STORE                wait until a picture is begun
    spoil FROM.safetensors TO  copy a model's file, a number in it made NaN
"""
import json
import struct
import sys
import time

import h5py
import numpy


def flip(path, dataset, row):
    with h5py.File(path, "r") as store:
        data = store[dataset]
        size = data.id.get_storage_size() // data.shape[0]
        # of an entry's row, the middle is in the message: take the state
        place = data.id.get_offset() + int(row) * size + (0 if dataset == "entry" else size // 2)
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def lose(path, dataset, first, end):
    with h5py.File(path, "r") as store:
        data = store[dataset]
        size = data.id.get_storage_size() // data.shape[0]
        place = data.id.get_offset() + int(first) * size
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(bytes((int(end) - int(first)) * size))


def begun(path):
    with h5py.File(path, "r") as store:
        attempts, state = store["provenance/entry"]["attempts"], store["entry"]["state"]
        print(numpy.count_nonzero(attempts), numpy.count_nonzero(state))


def is_begun(path):
    try:
        with h5py.File(path, "r") as store:
            return store["provenance/entry"]["attempts"].any()
    except OSError:  # not there yet, or not whole
        return False


def wait_for(path):
    for _ in range(600):
        if is_begun(path):
            return
        time.sleep(0.05)
    sys.exit(f"nothing was begun in {path}")


def spoil(source, target):
    with open(source, "rb") as file:
        content = bytearray(file.read())
    header_bytes = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8 : 8 + header_bytes])
    tensor = header["conv_in.weight"]
    nan = {"F16": b"\x00\x7e", "F32": struct.pack("<f", float("nan"))}[tensor["dtype"]]
    place = 8 + header_bytes + tensor["data_offsets"][0]
    content[place : place + len(nan)] = nan
    with open(target, "wb") as file:
        file.write(content)


{"flip": flip, "lose": lose, "begun": begun, "await": wait_for, "spoil": spoil}[sys.argv[1]](*sys.argv[2:])
