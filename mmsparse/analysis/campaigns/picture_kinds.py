"""One file of each kind that a folder of pictures may hold by mistake, and of each that looks odd and is fine."""

import os
import socket
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 32


def _picture(mode: str = 'RGB') -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def _coded(kind: str, mode: str = 'RGB', **options) -> bytes:
    content = BytesIO()
    _picture(mode).save(content, kind, **options)
    return content.getvalue()


def _claims(width: int, height: int) -> bytes:
    """A whole PNG of one row of zeros that says it is larger."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(bytes(97))) + chunk(b'IEND', b'')
    )


def _sixteen_bits() -> bytes:
    content = BytesIO()
    Image.fromarray(np.full((SIZE, SIZE), 40_000, np.uint16)).save(content, 'PNG')
    return content.getvalue()


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _header_without_pixels() -> bytes:
    png = _coded('PNG')
    return png[:33] + png[-12:]


def _with(content: bytes, at: int, other: bytes) -> bytes:
    return content[:at] + other + content[at + len(other) :]


def _claims_jpeg(side: int) -> bytes:
    """A whole JPEG that says it is larger."""
    content = _coded('JPEG')
    frame = content.index(b'\xff\xc0')  # then two bytes of length, one of precision, height, width
    return _with(content, frame + 5, struct.pack('>HH', side, side))


BROKEN = {
    'empty.jpg': b'',
    'one_byte.png': b'\x89',
    'text.jpg': b'no picture\n' * 50,
    'page.jpg': b'<!DOCTYPE html><html><body>404 Not Found</body></html>',
    'archive.png': b'PK\x03\x04' + bytes(100),
    'document.jpg': b'%PDF-1.4\n' + bytes(100),
    'only_head.jpg': _coded('JPEG')[:20],
    'half.jpg': _half(_coded('JPEG')),
    'half.png': _half(_coded('PNG')),
    'half.gif': _half(_coded('GIF')),
    'half.webp': _half(_coded('WEBP', lossless=True)),
    'half.tiff': _half(_coded('TIFF')),
    'half.bmp': _half(_coded('BMP')),
    'nearly_whole.jpg': _coded('JPEG')[:-60],
    'zeros_behind_head.jpg': _coded('JPEG')[:300] + bytes(2000),
    'claims_nothing.png': _claims(0, 0),
    'bomb.png': _claims(100_000, 100_000),
    'bomb.jpg': _claims_jpeg(65_500),
    'claims_nothing.jpg': _claims_jpeg(0),
    'no_pixels.png': _header_without_pixels(),
    'wrong_magic.jpg': _with(_coded('JPEG'), 0, b'\0\0'),
    'wrong_magic.png': _with(_coded('PNG'), 0, b'\0PNX'),
    'wrong_sum.png': _with(_coded('PNG'), 29, b'\0\0\0\0'),  # of the header
    'unknown_filter.png': _with(_coded('PNG'), 26, b'\x07\x07'),  # compression and filter that no PNG has
    'lost_folder.tiff': _with(_coded('TIFF'), 4, b'\xff\xff\xff\x7f'),  # its list of entries behind the end
    'claims_much.bmp': _with(_coded('BMP'), 18, struct.pack('<ii', 60_000, 60_000)),
    'cut_head.webp': _coded('WEBP')[:16],
    'drawing.png': b'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"/>',
    'packed.jpg': b'\x1f\x8b\x08' + bytes(60),
}
# folders, links and what else is no file; a listing of regular files leaves some out
IRREGULAR = ('folder.jpg', 'lost_link.jpg', 'loop.jpg', 'pipe.jpg', 'socket.jpg', 'device.jpg', 'missing.jpg')
CLOSED = 'closed.jpg'  # root reads it
FINE = {
    'inks.jpg': _coded('JPEG', 'CMYK'),
    'deep.png': _sixteen_bits(),
    'palette.png': _coded('PNG', 'P'),
    'one_bit.png': _coded('PNG', '1'),
    'see_through.png': _coded('PNG', 'RGBA'),
    'moving.gif': _coded('GIF', 'P', save_all=True, append_images=[_picture('L').convert('P')]),
    'really_png.jpg': _coded('PNG'),
    'junk_behind.jpg': _coded('JPEG') + bytes(100) + b'junk',
    'grey.jpg': _coded('JPEG', 'L'),
    'grey_see_through.png': _coded('PNG', 'LA'),
    'progressive.jpg': _coded('JPEG', progressive=True),
    'turned.jpg': _coded('JPEG', exif=b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'),
    'lossy.webp': _coded('WEBP'),
    'packed.tiff': _coded('TIFF', compression='tiff_lzw'),
    'plain.bmp': _coded('BMP'),
    'two words ä.jpg': _coded('JPEG'),
    os.fsdecode(b'not_utf8_\xff.jpg'): _coded('JPEG'),
}


def write_kind(folder: Path, name: str) -> Path:
    """Write one of them; return where."""
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    if name in BROKEN or name in FINE:
        path.write_bytes((BROKEN | FINE)[name])
    elif name == 'folder.jpg':
        path.mkdir()
    elif name == 'lost_link.jpg':
        path.symlink_to(folder / 'nowhere')
    elif name == 'loop.jpg':
        path.symlink_to(path)
    elif name == 'pipe.jpg':
        os.mkfifo(path)
    elif name == 'socket.jpg':
        before = os.getcwd()
        os.chdir(folder)  # the path of a socket has at most 108 bytes
        try:
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(name)
        finally:
            os.chdir(before)
    elif name == 'device.jpg':
        path.symlink_to('/dev/zero')
    elif name == CLOSED:
        path.write_bytes(_coded('JPEG'))
        path.chmod(0)
    return path
