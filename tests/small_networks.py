"""Small random networks in the formats and with the inputs and outputs of the published ones, and pictures.

Writers of as much of ONNX's protobuf and of TensorFlow Lite's FlatBuffers as they need. All numbers are drawn
from numpy's PCG64, so the same arguments give the same bytes everywhere.
"""

import struct

import numpy as np

# -- pictures ----------------------------------------------------------------------------------------

_LIMBS = (
    (0.5, 0.2, 0.5, 0.2, 0.1), (0.5, 0.35, 0.5, 0.55, 0.1), (0.42, 0.33, 0.25, 0.5, 0.035),
    (0.58, 0.33, 0.75, 0.48, 0.035), (0.46, 0.55, 0.42, 0.92, 0.045), (0.54, 0.55, 0.6, 0.92, 0.045),
)  # fmt: skip
"""Capsules of a standing figure: from x, y to x, y, radius; shares of the side."""


def draw_picture(seed, side, noise=0.03):
    """A figure in one color on a slope of colors, with noise: (side, side, 3) float32 0..1."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    color, *corners = rng.random((3, 3))
    picture = corners[0] + y[..., None] * (corners[1] - corners[0])
    for x0, y0, x1, y1, radius in _LIMBS:
        along, up = x1 - x0, y1 - y0
        length = along**2 + up**2
        t = np.clip(((x - x0) * along + (y - y0) * up) / max(length, 1e-9), 0, 1)
        inside = (x - x0 - t * along) ** 2 + (y - y0 - t * up) ** 2 < radius**2
        picture[inside] = color * (0.7 + 0.3 * (1 - y[inside]))[:, None]
    return np.clip(picture + rng.normal(0, noise, picture.shape), 0, 1).astype(np.float32)


# -- ONNX --------------------------------------------------------------------------------------------


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(*fields):
    """Fields (number, value): an integer, a float, or what has a length."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            out += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def onnx_tensor(name, array):
    kind = {"f": 1, "i": 7}[array.dtype.kind]
    dims = [(1, size) for size in array.shape]
    return message(*dims, (2, kind), (8, name), (9, array.tobytes()))


def onnx_attribute(name, value):
    if isinstance(value, np.ndarray):
        return message((1, name), (5, onnx_tensor("", value)), (20, 4))
    if isinstance(value, str):
        return message((1, name), (4, value), (20, 3))
    if isinstance(value, int):
        return message((1, name), (3, value), (20, 2))
    return message((1, name), *[(8, number) for number in value], (20, 7))


def onnx_node(operator, inputs, output, **options):
    attributes = [(5, onnx_attribute(name, value)) for name, value in options.items()]
    return message(*[(1, name) for name in inputs], (2, output), (3, output), (4, operator), *attributes)


def onnx_value(name, shape):
    dims = message(*[(1, message((1, size))) for size in shape])
    return message((1, name), (2, message((1, message((1, 1), (2, dims))))))


def onnx_model(nodes, weights, inputs, outputs):
    graph = message(
        *[(1, node) for node in nodes],
        (2, "small"),
        *[(5, onnx_tensor(name, array)) for name, array in weights.items()],
        *[(11, onnx_value(*value)) for value in inputs.items()],
        *[(12, onnx_value(*value)) for value in outputs.items()],
    )
    return message((1, 6), (2, "tests"), (7, graph), (8, message((1, ""), (2, 11))))


def draw_u2net(seed, side=320, width=6):
    """A network with each operator of U²-Net's, as torch exported it: what a block goes down and up."""
    rng = np.random.default_rng(seed)
    weights, nodes = {}, []

    def add(operator, inputs, output, **options):
        nodes.append(onnx_node(operator, inputs, output, **options))
        return output

    def convolve(source, output, channels, made, dilation=1, kernel=3):
        shape = (made, channels, kernel, kernel)
        scale = np.sqrt(2 / (channels * kernel**2))
        weights[f"{output}.weight"] = (rng.standard_normal(shape) * scale).astype(np.float32)
        weights[f"{output}.bias"] = rng.uniform(-0.2, 0.2, made).astype(np.float32)
        pad = dilation * (kernel // 2)
        options = {
            "dilations": (dilation,) * 2, "group": 1, "kernel_shape": (kernel,) * 2,
            "pads": (pad,) * 4, "strides": (1, 1),
        }  # fmt: skip
        return add("Conv", [source, f"{output}.weight", f"{output}.bias"], output, **options)

    def constant(name, value):
        return add("Constant", [], name, value=np.asarray(value))

    first = add("Relu", [convolve("picture", "first", 3, width)], "first.relu")
    pool = {"kernel_shape": (2, 2), "pads": (0,) * 4, "strides": (2, 2), "ceil_mode": 1}
    down = add("MaxPool", [add("MaxPool", [first], "half", **pool)], "quarter", **pool)
    deep = add("Relu", [convolve(down, "deep", width, width, dilation=2)], "deep.relu")
    both = add("Concat", [deep, down], "both", axis=1)
    mixed = convolve(both, "mixed", 2 * width, width)
    sizes = []
    for axis in (2, 3):
        shape = add("Shape", [first], f"shape.{axis}")
        index = constant(f"axis.{axis}", np.int64(axis))
        size = add("Gather", [shape, index], f"size.{axis}", axis=0)
        sizes.append(add("Unsqueeze", [size], f"sizes.{axis}", axes=(0,)))
    wanted = add("Cast", [add("Concat", sizes, "wanted", axis=0)], "wanted.long", to=7)
    bounds = [constant(name, np.array([at])) for name, at in (("start", 0), ("end", 2), ("along", 0))]
    kept = add("Slice", [add("Shape", [mixed], "mixed.shape"), *bounds], "kept")
    whole = add("Concat", [kept, wanted], "whole", axis=0)
    nothing = [constant(name, np.zeros(0, np.float32)) for name in ("region", "scales")]
    resized = add(
        "Resize", [mixed, *nothing, whole], "resized",
        coordinate_transformation_mode="pytorch_half_pixel", mode="linear", nearest_mode="floor",
    )  # fmt: skip
    summed = add("Add", [resized, first], "summed")
    add("Sigmoid", [convolve(summed, "last", width, 1, kernel=1)], "mask")
    add("Sigmoid", [mixed], "side")
    outputs = {"mask": (1, 1, side, side), "side": (1, width, side // 4, side // 4)}
    return onnx_model(nodes, weights, {"picture": (1, 3, side, side)}, outputs)


# -- TensorFlow Lite ---------------------------------------------------------------------------------

BYTE, INTEGER, UNSIGNED = "<b", "<i", "<I"


class Table(dict):
    """Fields by index: (format, number), bytes with their alignment, a Table, or a list of Tables."""


def write_table(out, table):
    """Append a table, after its vtable and before what it refers to; returns its place."""
    count = max(table, default=-1) + 1
    align(out, 4)
    vtable = len(out)
    place = vtable + 4 + 2 * count
    place += -place % 4
    offsets, size = [0] * count, 4
    for field in table:
        offsets[field], size = size, size + 4
    out += struct.pack(f"<HH{count}H", 4 + 2 * count, size, *offsets)
    align(out, 4)
    out += struct.pack("<i", place - vtable) + bytes(size - 4)
    for field, value in table.items():
        at = place + offsets[field]
        if isinstance(value, tuple) and isinstance(value[0], str):
            struct.pack_into(value[0], out, at, value[1])
        else:
            refer(out, at, write_value(out, value))
    return place


def write_value(out, value):
    if isinstance(value, Table):
        return write_table(out, value)
    if isinstance(value, list):
        align(out, 4)
        start = len(out)
        out += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for index, table in enumerate(value):
            at = start + 4 + 4 * index
            refer(out, at, write_table(out, table))
        return start
    while (len(out) + 4) % 16:  # the numbers of a weight start at a multiple of 16
        out += b"\0"
    start = len(out)
    data = value.tobytes() if isinstance(value, np.ndarray) else value.encode() + b"\0"
    out += struct.pack("<I", len(value) if isinstance(value, str) else value.size) + data
    return start


def refer(out, at, place):
    struct.pack_into("<I", out, at, place - at)


def align(out, size):
    out += bytes(-len(out) % size)


_CODES = {
    "ADD": 0, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6, "LOGISTIC": 14,
    "MAX_POOL_2D": 17, "RELU": 19, "RESHAPE": 22, "RESIZE_BILINEAR": 23, "PAD": 34, "PRELU": 54,
}  # fmt: skip
_UNION = {
    "ADD": 11, "CONCATENATION": 10, "CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "MAX_POOL_2D": 5, "RESHAPE": 17,
    "RESIZE_BILINEAR": 15,
}  # fmt: skip
"""BuiltinOperator and BuiltinOptions."""
SAME, VALID, NO_ACTIVATION, RELU6 = 0, 1, 0, 3


class TfliteWriter:
    """Collects the tensors and operators of one graph."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.tensors, self.buffers, self.steps, self.codes = [], [Table()], [], []

    def add_tensor(self, shape, kind=0, data=None):
        buffer = 0
        if data is not None:
            self.buffers.append(Table({0: np.frombuffer(data.tobytes(), np.uint8)}))
            buffer = len(self.buffers) - 1
        fields = {0: np.array(shape, np.int32), 1: (BYTE, kind), 2: (UNSIGNED, buffer)}
        self.tensors.append(Table({**fields, 3: f"tensor_{len(self.tensors)}"}))
        return len(self.tensors) - 1

    def add_numbers(self, values):
        values = np.array(values, np.int32)
        return self.add_tensor(values.shape, 2, values)

    def draw_weight(self, shape, scale):
        """A weight in half precision, and the operator that widens it."""
        half = (self.rng.standard_normal(shape) * scale).astype(np.float16)
        return self.add("DEQUANTIZE", [self.add_tensor(shape, 1, half)], shape)

    def add(self, operator, inputs, shape, options=None):
        """Append an operator; returns the index of its output of that shape."""
        output = self.add_tensor(shape)
        if operator not in self.codes:
            self.codes.append(operator)
        fields = {0: (UNSIGNED, self.codes.index(operator))}
        fields |= {1: np.array(inputs, np.int32), 2: np.array([output], np.int32)}
        if operator in _UNION:
            fields |= {3: ("<B", _UNION[operator]), 4: Table(options or {})}
        self.steps.append(Table(fields))
        return output

    def convolve(self, source, shape, made, kernel, stride=1, padding=SAME, activation=NO_ACTIVATION):
        """shape: of the source. Returns the output and its shape."""
        weight = self.draw_weight((made, kernel, kernel, shape[3]), np.sqrt(2 / (shape[3] * kernel**2)))
        bias = self.draw_weight((made,), 0.1)
        sides = [
            -(-side // stride) if padding == SAME else (side - kernel) // stride + 1 for side in shape[1:3]
        ]
        options = {0: (BYTE, padding), 1: (INTEGER, stride), 2: (INTEGER, stride), 3: (BYTE, activation)}
        made_shape = (1, *sides, made)
        return self.add("CONV_2D", [source, weight, bias], made_shape, options), made_shape

    def convolve_depthwise(self, source, shape, kernel, stride=1):
        weight = self.draw_weight((1, kernel, kernel, shape[3]), np.sqrt(2 / kernel**2))
        bias = self.draw_weight((shape[3],), 0.1)
        options = {
            0: (BYTE, SAME), 1: (INTEGER, stride), 2: (INTEGER, stride), 3: (INTEGER, 1), 4: (BYTE, RELU6),
        }  # fmt: skip
        made_shape = (1, -(-shape[1] // stride), -(-shape[2] // stride), shape[3])
        return self.add("DEPTHWISE_CONV_2D", [source, weight, bias], made_shape, options), made_shape

    def finish(self, inputs, outputs):
        graph = Table({
            0: self.tensors, 1: np.array(inputs, np.int32), 2: np.array(outputs, np.int32), 3: self.steps,
        })  # fmt: skip
        codes = [Table({0: (BYTE, _CODES[name]), 2: (INTEGER, 1)}) for name in self.codes]
        model = Table({0: (UNSIGNED, 3), 1: codes, 2: [graph], 3: "small", 4: self.buffers})
        out = bytearray(b"\0\0\0\0TFL3")
        struct.pack_into("<I", out, 0, write_table(out, model))
        return bytes(out)


def draw_blazepose(seed, side=256, width=8):
    """A network with each operator of BlazePose's and BlazeFace's: trunk, a step down, a step up, heads."""
    net = TfliteWriter(seed)
    picture = net.add_tensor((1, side, side, 3))
    trunk, shape = net.convolve(picture, (1, side, side, 3), width, 3, stride=2, activation=RELU6)
    down, shape = net.convolve_depthwise(trunk, shape, 5, stride=2)
    halves = [net.convolve(down, shape, width // 2, 1)[0] for _ in range(2)]
    joined = net.add("CONCATENATION", halves, shape, {0: (INTEGER, 3)})
    summed = net.add("ADD", [joined, down], shape, {0: (BYTE, RELU6)})
    smaller = (1, shape[1] // 2, shape[2] // 2, width)
    window = [(BYTE, SAME), *[(INTEGER, 2)] * 4]
    pooled = net.add("MAX_POOL_2D", [summed], smaller, dict(enumerate(window)))
    widened = net.add(
        "PAD", [pooled, net.add_numbers([[0, 0], [0, 0], [0, 0], [0, width]])], (*smaller[:3], 2 * width)
    )
    slope = net.draw_weight((1, 1, 2 * width), 0.3)
    sloped = net.add("PRELU", [widened, slope], (*smaller[:3], 2 * width))
    narrow, small = net.convolve(sloped, (*smaller[:3], 2 * width), width, 3)
    larger = net.add(
        "RESIZE_BILINEAR", [net.add("RELU", [narrow], small), net.add_numbers(shape[1:3])], shape,
        {3: (BYTE, 1)},
    )  # fmt: skip
    merged, shape = net.convolve(net.add("ADD", [larger, summed], shape), shape, width, 3, stride=4)
    merged, shape = net.convolve(merged, shape, width, 3, stride=4, activation=RELU6)
    outputs = []
    for made in (195, 1, 117):
        head, _ = net.convolve(merged, shape, made, shape[1], padding=VALID)
        flat = net.add("RESHAPE", [head, net.add_numbers((1, made))], (1, made))
        outputs.append(net.add("LOGISTIC", [flat], (1, made)) if made == 1 else flat)
    return net.finish([picture], outputs)


def draw_first_weight(name, seed):
    """The first weight of draw_u2net or draw_blazepose."""
    rng = np.random.default_rng(seed)
    if name == "u2net":
        return (rng.standard_normal((6, 3, 3, 3)) * np.sqrt(2 / 27)).astype(np.float32)
    return (rng.standard_normal((8, 3, 3, 3)) * np.sqrt(2 / 27)).astype(np.float16)
