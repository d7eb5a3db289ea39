"""Writes the table files of this folder, which tests read: python3 make.py (numpy, pandas, pyarrow, h5py, tables)."""

import datetime
import decimal
import struct
import uuid

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

D = decimal.Decimal
UTC = datetime.timezone.utc


def time_of(hour, minute, second, micro):
    return datetime.time(hour, minute, second, micro)


# Every type of a column that is a number, a time or text, the second cell null, the others with all their digits.
columns = {
    'int8': pa.array([-128, None, 127], pa.int8()),
    'int16': pa.array([-32768, None, 32767], pa.int16()),
    'int32': pa.array([-(2**31), None, 2**31 - 1], pa.int32()),
    'int64': pa.array([-(2**63), None, 2**53 + 1], pa.int64()),
    'uint8': pa.array([0, None, 255], pa.uint8()),
    'uint16': pa.array([0, None, 65535], pa.uint16()),
    'uint32': pa.array([0, None, 2**32 - 1], pa.uint32()),
    'uint64': pa.array([0, None, 2**64 - 1], pa.uint64()),
    'float16': pa.array([0.25, None, -65504.0], pa.float16()),
    'float32': pa.array([0.1, None, 3.4e38], pa.float32()),
    'float64': pa.array([0.1, None, -1.7976931348623157e308], pa.float64()),
    'bool': pa.array([True, None, False], pa.bool_()),
    'decimal9': pa.array([D('-12.60'), None, D('1234567.89')], pa.decimal128(9, 2)),
    'decimal18': pa.array([D('0.0001'), None, D('-12345678901234.5678')], pa.decimal128(18, 4)),
    'decimal38': pa.array([D('-0.0000000001'), None, D('1234567890123456789012345678.0123456789')], pa.decimal128(38, 10)),
    'date32': pa.array([datetime.date(1969, 12, 31), None, datetime.date(2024, 2, 29)], pa.date32()),
    'time_ms': pa.array([time_of(0, 0, 0, 1000), None, time_of(23, 59, 59, 999000)], pa.time32('ms')),
    'time_us': pa.array([time_of(0, 0, 0, 1), None, time_of(23, 59, 59, 999999)], pa.time64('us')),
    'time_ns': pa.array([1, None, 86399999999999], pa.time64('ns')),
    'stamp_ms': pa.array([-1, None, 1704110400123], pa.timestamp('ms')),
    'stamp_us': pa.array([-1, None, 1704110400123456], pa.timestamp('us')),
    'stamp_ns': pa.array([-1, None, 1704110400123456789], pa.timestamp('ns')),
    'stamp_utc': pa.array([0, None, 1704110400123456], pa.timestamp('us', tz='UTC')),
    'text': pa.array(['größe', None, 'NA'], pa.string()),
    'level': pa.array(['x', None, 'x']).dictionary_encode(),
}
blob = pa.array([b'\x01\x02', None, b''], pa.binary())
items = pa.array([[1.0, 2.0], None, []], pa.list_(pa.float64()))
pair = pa.array([{'x': 1, 'y': 'u'}, None, {'x': 2, 'y': None}])

table = pa.table({**columns, 'bytes': blob, 'list': items, 'struct': pair})
for name, version, dictionary in [('types', '1.0', True), ('types-plain', '2.0', False)]:
    pq.write_table(table, f'{name}.parquet', data_page_version=version, use_dictionary=dictionary, compression='zstd')

# The same types where no cell may be null, in several row groups, one of them empty.
whole = {name: cells.take(pa.array([0, 2])) for name, cells in columns.items()}
schema = pa.schema([pa.field(name, cells.type, nullable=False) for name, cells in whole.items()])
with pq.ParquetWriter('types-required.parquet', schema) as writer:
    rows = pa.table(whole, schema=schema)
    for group in [rows, rows.slice(0, 0), rows]:
        writer.write_table(group)

# Times in 96 bits, as Spark and Impala wrote them, and decimals in bytes of as many as they need.
old = pa.table({'when': pa.array([-1, None, 1704110400123456789], pa.timestamp('ns')), 'amount': columns['decimal9']})
pq.write_table(old, 'types-old.parquet', use_deprecated_int96_timestamps=True, store_decimal_as_integer=False)


# Arrow: the same types and more, in files and streams, compressed or not, in batches with and without nulls.
def write_arrow(name, tables, stream=False, **options):
    create = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(name, 'wb') as file, create(file, tables[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for one in tables:
            writer.write_table(one)


more = {
    'date64': pa.array([datetime.date(1969, 12, 31), None, datetime.date(2024, 2, 29)], pa.date64()),
    'time_s': pa.array([time_of(0, 0, 1, 0), None, time_of(23, 59, 59, 0)], pa.time32('s')),
    'stamp_s': pa.array([-1, None, 1704110400], pa.timestamp('s')),
    'stamp_berlin': pa.array([0, None, 1704110400123], pa.timestamp('ms', tz='Europe/Berlin')),
    'duration_us': pa.array([-5, None, 86400000000], pa.duration('us')),
    'large_text': pa.array(['größe', None, 'NA'], pa.large_string()),
    'text_view': pa.array(['größe', None, 'a text longer than twelve bytes'], pa.string_view()),
    'decimal256': pa.array([D('-0.5'), None, D('1e60')], pa.decimal256(70, 3)),
    'decimal32': pa.array([D('-12.60'), None, D('1234567.89')], pa.decimal32(9, 2)),
    'decimal64': pa.array([D('-12.60'), None, D('1234567.89')], pa.decimal64(18, 2)),
    'nothing': pa.nulls(3),
}
arrow = pa.table({**columns, **more, 'bytes': blob, 'list': items, 'struct': pair})
write_arrow('types.arrow', [arrow])
write_arrow('types-lz4.arrow', [arrow], compression='lz4')
write_arrow('types-zstd.arrows', [arrow], stream=True, compression='zstd')
other = {
    'uuid': pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()),
    'level': pa.array([5, None]).dictionary_encode(),
    'fixed': pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2)),
    'map': pa.array([[('a', 1)], None], pa.map_(pa.string(), pa.int64())),
}
write_arrow('others.arrow', [pa.table(other)])
pq.write_table(pa.table(other), 'others.parquet')
write_arrow('run-ends.arrow', [pa.table({'a': pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([1.5]))})])
pyarrow.feather.write_feather(pd.DataFrame({'a': [1.0, 2.0]}), 'version-1.feather', version=1)
# Nulls in one batch alone, and a batch without rows.
numbers = pa.table({'a': [1.5, 2.5], 'n': pa.array([2**53 + 1, 2], pa.int64())})
gaps = pa.table({'a': [None, 3.5], 'n': pa.array([3, None], pa.int64())})
write_arrow('gaps.arrow', [numbers, numbers.slice(0, 0), gaps])
# Dictionaries that are replaced, and that grow.
first = pa.table({'c': pa.array(['x', 'y', 'x']).dictionary_encode()})
second = pa.table({'c': pa.array(['z', None, 'x']).dictionary_encode()})
write_arrow('dictionaries.arrows', [first, second], stream=True)
grown = pa.table({'c': pa.DictionaryArray.from_arrays(pa.array([2, None, 0], pa.int32()), pa.array(['x', 'y', 'z']))})
write_arrow('deltas.arrows', [first, grown], stream=True, emit_dictionary_deltas=True)
# More than a block of LZ4 (64 KiB), which repeats what earlier blocks hold.
long = pa.table({'i': pa.array([i % 1000 * 0.25 for i in range(30000)])})
write_arrow('long-lz4.arrow', [long], compression='lz4')


# NumPy: orders of bytes and axes, records, times and text.
X = np.array([[0.5, -1.25, 3.0], [2.0, 1e300, -0.0], [7.5, 2.25, 1 / 3], [4.0, 5.0, 6.0]])
np.save('big-endian.npy', X.astype('>f8'))
np.save('big-endian-int.npy', np.array([[1, -2], [2**40, -(2**40)]], '>i8'))
np.save('fortran.npy', np.asfortranarray(X))
np.save('fortran-3.npy', np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)))
np.save('half.npy', np.array([[0.25, -65504], [6e-8, np.inf]], '<f2'))
np.save('times.npy', np.array([['2024-02-29T12:30:00.123456', 'NaT'], ['1969-12-31T23:59:59.999999', '1970-01-01']], '<M8[us]'))
np.save('days.npy', np.array(['2024-02-29', 'NaT', '1969-12-31'], '>M8[D]'))
np.save('hours.npy', np.array([36, 'NaT', -1], 'm8[h]'))
np.save('text.npy', np.array([['0.5', 'größe'], ['nan', 'red']]))
record = np.dtype(
    {
        'names': ['a', 'b', 'when', 'name', 'key', 'ok', 'place', 'pair'],
        'formats': ['<f8', '>i4', '<M8[ns]', '<U6', 'S3', '?', [('x', '<f4'), ('y', '<u8')], ('<i2', (2,))],
    },
    align=True,
)
row = (0.5, -7, np.datetime64('2024-02-29T00:00:00.000000001'), 'größe', b'ab', True, (1.5, 2**64 - 1), (3, -4))
gap = (-0.25, 2**31 - 1, np.datetime64('NaT'), '', b'', False, (-2.5, 0), (-5, 6))
np.save('records.npy', np.array([row, gap], record))
np.savez_compressed('arrays.npz', fortran=np.asfortranarray(X), records=np.array([row, gap], record))
np.save('complex.npy', X.astype(complex))
np.save('objects.npy', X.astype(object), allow_pickle=True)
np.save('long-double.npy', X.astype(np.longdouble))
# As Python 2 wrote it.
head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4L, 3L), }"
head += b' ' * ((64 - (10 + len(head) + 1) % 64) % 64) + b'\n'
with open('python-2.npy', 'wb') as file:
    file.write(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head)) + head + X.tobytes())


# HDF5: arrays in groups, types, filters, and frames of pandas.
with h5py.File('groups.h5', 'w') as file:
    file['g/X'] = X
    file['g/deep/Y'] = X[:2]
    file['g/version'] = 3
with h5py.File('types.h5', 'w') as file:
    file['big-endian'] = X.astype('>f8')
    file['half'] = np.array([[0.25, -65504], [6e-8, np.inf]], '<f2')
    file['int64'] = np.array([2**53 + 1, -(2**63)], '<i8')
    file['bool'] = np.array([[True, False], [False, False]])
    file['level'] = np.array([1, 0, 2], h5py.enum_dtype({'red': 0, 'green': 1, 'NA': 2}, 'i1'))
    file['text'] = np.array([['0.5', 'größe'], ['nan', 'red']], h5py.string_dtype())
    file['fixed-text'] = np.array([b'ab', b'', b'abc'], 'S3')
    file['three'] = np.arange(24.0).reshape(2, 3, 4)
    file['complex'] = X.astype(complex)
    file['references'] = np.array([file['half'].ref, file['bool'].ref], h5py.ref_dtype)
    packed = np.dtype([(name, record.fields[name][0]) for name in record.names if name not in ('when', 'name')])
    rows = np.array([(0.5, -7, b'ab', True, (1.5, 2**64 - 1), (3, -4)), (-0.25, 2**31 - 1, b'', False, (-2.5, 0), (-5, 6))], packed)
    file['records'] = rows
    file['big-endian-records'] = rows[['a', 'b', 'pair']].astype([('a', '>f8'), ('b', '>i4'), ('pair', '>i2', (2,))])
    named = np.dtype([('name', h5py.string_dtype()), ('x', '<f8')])
    file['named-records'] = np.array([('größe', 0.5), ('', -1.5)], named)
with h5py.File('filters.h5', 'w') as file:
    numbers = np.arange(1200) % 17
    file.create_dataset('gzip', data=numbers.reshape(400, 3), chunks=(7, 2), compression='gzip', shuffle=True, fletcher32=True)
    file.create_dataset('scaled', data=numbers.reshape(400, 3).astype('<i4'), chunks=(7, 3), scaleoffset=0)
with h5py.File('lzf.h5', 'w') as file:
    file.create_dataset('X', data=numbers.reshape(400, 3), chunks=(70, 3), compression='lzf')

frame = pd.DataFrame(
    {
        'a': [0.5, -1.25, 3],
        'n': [1, 2, 2**40],
        'when': pd.to_datetime(['2024-02-29 00:00:00.000001', '1969-12-31', None], format='ISO8601'),
        'b': [1.5, np.nan, 3.5],
        'ok': [True, False, True],
    }
)
# Records, and rows enough to train on.
normal = np.random.default_rng(0).normal(size=240)[120:].round(3).reshape(40, 3)
with h5py.File('records.h5', 'w') as file:
    file.create_dataset('X', data=np.array([tuple(row) for row in normal], dtype=[('a', '<f8'), ('b', '<f4'), ('c', '<f8')]))
frame[frame.a != 0].to_hdf('pandas.h5', key='fixed', complevel=9)
frame['name'] = ['x', None, 'größe']
frame.to_hdf('pandas.h5', key='in/table', format='table', index=False, complevel=9)
frame['level'] = pd.Categorical(['u', None, 'v'])
frame.set_index('when').to_hdf('pandas.h5', key='columns', format='table', data_columns=True, index=False, complevel=9)
frame.drop(columns='level').to_hdf('pandas-objects.h5', key='df', complevel=9)
