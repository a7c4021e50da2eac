"""Write a .safetensors file, without the library of that name."""

import json

TYPES = {"uint8": "U8", "int32": "I32", "float32": "F32", "float64": "F64"}


def write_safetensors(path, tensors):
    """tensors: {name: numpy array}"""
    header, data = {}, b""
    for name, array in tensors.items():
        values = array.tobytes()
        header[name] = {
            "dtype": TYPES[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(values)],
        }
        data += values
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)
