package kafka

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/record"
)

// maxBatch bounds a batch that is read: more than any broker takes.
const maxBatch = 256 << 20

// dumpLogTool shows what is in the files of a log.
func dumpLogTool() tool {
	maybe := func(name, help string) option {
		return option{name: name, takes: takesMaybe, kind: "String", def: "org.apache.kafka.tools.api.StringDecoder", help: help}
	}
	return tool{
		name: "kafka-dump-log", short: "Look into log files, as kafka-dump-log.sh does it", local: true,
		about: "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.",
		example: `  klamm kafka-dump-log --files klamm-data/orders-0/00000000000000000000.log
  klamm kafka-dump-log --files klamm-data/orders-0/00000000000000000000.log --print-data-log
  klamm kafka-dump-log --files data/__consumer_offsets-0/00000000000000000000.log --offsets-decoder`,
		options: []option{
			flag("print-data-log", "Print keys and values; every decoder does."),
			flag("verify-index-only", "Check an index, and do not print it."),
			flag("index-sanity-check", "Check only the form of an index."),
			text("files", "file1, file2, ...", "The files, with commas between them: segments, indexes, producer snapshots, transaction indexes, snapshots of metadata."),
			whole("max-message-size", "size", "5242880", "The size of the largest message."),
			whole("max-bytes", "size", fmt.Sprint(math.MaxInt32), "How much of a segment to read."),
			flag("deep-iteration", "Show the records of batches; --print-data-log does."),
			maybe("value-decoder-class", "Java's class for values; texts and numbers are known here."),
			maybe("key-decoder-class", "Java's class for keys; texts and numbers are known here."),
			flag("offsets-decoder", "Read the records of __consumer_offsets."),
			flag("transaction-log-decoder", "Read the records of __transaction_state."),
			flag("cluster-metadata-decoder", "Not here: the keys and values are shown as they are."),
			flag("remote-log-metadata-decoder", "Not here: the keys and values are shown as they are."),
			flag("share-group-state-decoder", "Not here: the keys and values are shown as they are."),
			flag("skip-record-metadata", "Print keys and values alone, without offsets, and no control records."),
		},
		run: runDumpLog,
	}
}

// runDumpLog is kafka-dump-log.
func runDumpLog(r *run) error {
	if err := r.need("files"); err != nil {
		return err
	}
	d := dumpRun{run: r, codecs: record.NewCodecs(1), decode: textDecoder}
	for option, decode := range map[string]decoder{"offsets-decoder": offsetsDecoder, "transaction-log-decoder": transactionsDecoder} {
		if r.has(option) {
			d.decode = decode
		}
	}
	if r.hasAny("key-decoder-class", "value-decoder-class") {
		d.decode = classDecoder(r.text("key-decoder-class"), r.text("value-decoder-class"))
	}
	d.contents = r.hasAny("print-data-log", "offsets-decoder", "transaction-log-decoder", "cluster-metadata-decoder", "remote-log-metadata-decoder", "value-decoder-class", "key-decoder-class", "share-group-state-decoder")
	d.deep = d.contents || r.has("deep-iteration")
	for name := range strings.SplitSeq(r.text("files"), ",") {
		r.println("Dumping " + name)
		var err error
		switch filepath.Ext(name) {
		case ".log", ".checkpoint":
			err = d.segment(name)
		case ".index":
			err = d.offsetIndex(name)
		case ".timeindex":
			err = d.timeIndex(name)
		case ".snapshot":
			err = d.producers(name)
		case ".txnindex":
			err = d.aborted(name)
		default:
			fmt.Fprintf(r.err, "Ignoring unknown file %s\n", name)
		}
		if errors.Is(err, os.ErrNotExist) {
			return saysf("java.nio.file.NoSuchFileException: %s", name)
		}
		if err != nil {
			return saysf("%s: %s", name, message(err))
		}
	}
	d.complain()
	return nil
}

// pair is a mismatch of two numbers.
type pair struct{ a, b int64 }

// dumpRun is one run of kafka-dump-log.
type dumpRun struct {
	*run
	codecs         *record.Codecs
	decode         decoder
	contents, deep bool
	gaps           complaints // offsets that do not follow one another
	index          complaints // index entries that point elsewhere
	times          complaints // time index entries with another timestamp than their batch
	disordered     complaints
	lost           complaints // time index entries without a batch
}

// complaints are mismatches by file, in the order they were found.
type complaints struct {
	files []string
	pairs map[string][]pair
}

// add notes a mismatch in a file.
func (c *complaints) add(file string, a, b int64) {
	if c.pairs == nil {
		c.pairs = map[string][]pair{}
	}
	if full, err := filepath.Abs(file); err == nil {
		file = full
	}
	if !slices.Contains(c.files, file) {
		c.files = append(c.files, file)
	}
	c.pairs[file] = append(c.pairs[file], pair{a, b})
}

// complain tells of all mismatches.
func (d *dumpRun) complain() {
	for _, k := range []struct {
		c          *complaints
		head, line string
	}{
		{&d.index, "Mismatches in :%s", "  Index offset: %d, log offset: %d"},
		{&d.times, "Found timestamp mismatch in :%s", "  Index timestamp: %d, log timestamp: %d"},
		{&d.disordered, "Found out of order timestamp in :%s", "  Index timestamp: %d, Previously indexed timestamp: %d"},
		{&d.lost, "The following indexed offsets are not found in :%s", "Indexed offset: %d, found log offset: %d"},
		{&d.gaps, "Non-consecutive offsets in %s", "  %d is followed by %d"},
	} {
		for _, f := range k.c.files {
			fmt.Fprintf(d.err, k.head+"\n", f)
			for _, p := range k.c.pairs[f] {
				fmt.Fprintf(d.err, k.line+"\n", p.a, p.b)
			}
		}
	}
}

// startOffset is the offset that a file is named for.
func startOffset(name string) (int64, error) {
	base, _, _ := strings.Cut(filepath.Base(name), ".")
	n, err := strconv.ParseInt(base, 10, 64)
	if err != nil {
		return 0, saysf("For input string: %q", base)
	}
	return n, nil
}

// segment shows a segment or a snapshot.
func (d *dumpRun) segment(name string) error {
	base := filepath.Base(name)
	switch stem := strings.TrimSuffix(base, ".checkpoint"); {
	case strings.HasSuffix(base, ".log"):
		start, err := startOffset(name)
		if err != nil {
			return err
		}
		d.printf("Log starting offset: %d\n", start)
	case stem == "bootstrap":
		d.println("KRaft bootstrap snapshot")
	default:
		var offset, epoch int64
		if _, err := fmt.Sscanf(stem, "%d-%d", &offset, &epoch); err == nil {
			d.printf("Snapshot end offset: %d, epoch: %d\n", offset, epoch)
		}
	}
	last := int64(-1)
	most := d.number("max-bytes")
	valid, size, err := batches(name, most, func(at int64, b []byte) error {
		if record.Magic(b) < 2 {
			return d.oldBatch(name, at, b, &last)
		}
		return d.batch(name, at, record.Batch(b), &last)
	})
	if err != nil {
		return err
	}
	if size > valid && most == math.MaxInt32 {
		d.printf("Found %d invalid bytes at the end of %s\n", size-valid, base)
	}
	return nil
}

// batches calls f for every whole batch in the first bytes of a file. It returns how many bytes they have and
// how many the file has.
func batches(name string, most int64, f func(at int64, b []byte) error) (valid, size int64, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	size = min(st.Size(), most)
	r := bufio.NewReaderSize(io.LimitReader(file, size), 256<<10)
	var buf []byte
	for valid < size {
		head, err := r.Peek(record.PeekSize)
		if err != nil {
			break // fewer bytes than a header has
		}
		n, err := record.Peek(head)
		if err != nil || n > maxBatch || int64(n) > size-valid {
			break
		}
		buf = slices.Grow(buf[:0], n)[:n]
		if _, err := io.ReadFull(r, buf); err != nil {
			return valid, size, err
		}
		if err := f(valid, buf); err != nil {
			return valid, size, fmt.Errorf("position %d: %w", valid, err)
		}
		valid += int64(n)
	}
	return valid, st.Size(), nil
}

// batch shows a batch of magic 2.
func (d *dumpRun) batch(name string, at int64, b record.Batch, last *int64) error {
	horizon := "OptionalLong.empty"
	if b.HasDeleteHorizon() {
		horizon = fmt.Sprintf("OptionalLong[%d]", b.DeleteHorizon())
	}
	d.printf("baseOffset: %d lastOffset: %d count: %d baseSequence: %d lastSequence: %d producerId: %d producerEpoch: %d partitionLeaderEpoch: %d isTransactional: %t isControl: %t deleteHorizonMs: %s"+
		" position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t\n",
		b.BaseOffset(), b.LastOffset(), b.Count(), b.BaseSequence(), b.LastSequence(), b.ProducerID(), b.ProducerEpoch(), b.LeaderEpoch(), b.IsTransactional(), b.IsControl(), horizon,
		at, b.TimestampType(), b.MaxTimestamp(), b.Size(), b.Magic(), b.Codec(), b.CRC(), b.Check() == nil)
	if !d.deep {
		return nil
	}
	return b.Each(d.codecs, record.OutputLimit(len(b)), func(r record.Record) error {
		d.gap(name, last, r.Offset)
		if !d.has("skip-record-metadata") {
			d.meta(r, b.TimestampType())
			sequence := int32(-1)
			if b.BaseSequence() >= 0 {
				sequence = record.AddSequence(b.BaseSequence(), int32(r.Offset-b.BaseOffset()))
			}
			var keys []string
			for it := r.Headers.Iter(); ; {
				h, ok := it.Next()
				if !ok {
					break
				}
				keys = append(keys, string(h.Key))
			}
			d.printf(" sequence: %d headerKeys: [%s]", sequence, strings.Join(keys, ","))
			if b.IsControl() {
				d.control(r)
			}
		}
		if d.contents && !b.IsControl() {
			d.content(r)
		}
		d.printf("\n")
		return nil
	})
}

// gap notes offsets that do not follow one another.
func (d *dumpRun) gap(name string, last *int64, offset int64) {
	if offset != *last+1 {
		d.gaps.add(name, *last, offset)
	}
	*last = offset
}

// meta begins the line of a record.
func (d *dumpRun) meta(r record.Record, t record.TimestampType) {
	size := func(b []byte) int {
		if b == nil {
			return -1
		}
		return len(b)
	}
	d.printf("| offset: %d %s: %d keySize: %d valueSize: %d", r.Offset, t, r.Timestamp, size(r.Key), size(r.Value))
}

// control shows a control record.
func (d *dumpRun) control(r record.Record) {
	kind, err := record.ParseControl(r.Key)
	switch {
	case err != nil:
		d.printf(" controlType: UNKNOWN(-1)")
	case kind == record.ControlAbort || kind == record.ControlCommit:
		epoch, err := record.ParseEndTxn(r.Value)
		if err != nil {
			epoch = -1
		}
		d.printf(" endTxnMarker: %s coordinatorEpoch: %d", strings.ToUpper(kind.String()), epoch)
	default:
		d.printf(" controlType: %s(%d)", strings.ToUpper(kind.String()), int16(kind))
	}
}

// content shows a record's key and value.
func (d *dumpRun) content(r record.Record) {
	before := " "
	if d.has("skip-record-metadata") {
		before = "| "
	}
	key, value := d.decode(r)
	if key != nil {
		d.printf("%skey: %s", before, *key)
		before = " "
	}
	if value != nil {
		d.printf("%spayload: %s", before, *value)
	}
}

// oldBatch shows a message of magic 0 or 1, which holds others when it is compressed.
func (d *dumpRun) oldBatch(name string, at int64, b []byte, last *int64) error {
	const head = 18 // up to the attributes
	if len(b) < head+8 {
		return fmt.Errorf("a message of %d bytes", len(b))
	}
	crc, magic, attributes := binary.BigEndian.Uint32(b[12:]), b[16], b[17]
	kind, when := record.NoTimestampType.String(), int64(-1)
	if magic == 1 {
		kind, when = record.TimestampType(attributes>>3&1).String(), int64(binary.BigEndian.Uint64(b[head:]))
	}
	good := crc32.ChecksumIEEE(b[16:]) == crc
	d.printf("offset: %d position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t\n", binary.BigEndian.Uint64(b), at, kind, when, len(b), magic, record.Codec(attributes&7), crc, good)
	if !d.deep {
		return nil
	}
	it := record.Messages(b, d.codecs, record.OutputLimit(len(b)))
	defer it.Close()
	var r record.Record
	for it.Next(&r) {
		d.gap(name, last, r.Offset)
		if !d.has("skip-record-metadata") {
			d.meta(r, it.TimestampType())
			if it.Codec() != record.None {
				good, crc = true, innerCRC(it.Magic(), r)
			}
			d.printf(" isValid: %t crc: %d", good, crc)
		}
		if d.contents {
			d.content(r)
		}
		d.printf("\n")
	}
	return it.Err()
}

// innerCRC is the CRC of a message inside of a compressed one. The iterator has checked that it is right.
func innerCRC(magic int8, r record.Record) uint32 {
	b := []byte{byte(magic), 0}
	if magic == 1 {
		b = binary.BigEndian.AppendUint64(b, uint64(r.Timestamp))
	}
	for _, f := range [][]byte{r.Key, r.Value} {
		n := int32(len(f))
		if f == nil {
			n = -1
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(n)), f...)
	}
	return crc32.ChecksumIEEE(b)
}

// offsetIndex shows an index of offsets: Kafka's, of an offset and a position in 4 bytes each, or klamm's.
func (d *dumpRun) offsetIndex(name string) error {
	start, err := startOffset(name)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	entries, klamm := indexEntries(b, start)
	if len(entries) == 0 {
		d.println(name + " is empty.")
		return nil
	}
	if d.has("index-sanity-check") {
		if !klamm && len(b)%8 != 0 || entries[len(entries)-1].a < start {
			return saysf("Corrupt index found, index file (%s) has non-zero size but the last offset is %d and the base offset is %d", name, entries[len(entries)-1].a, start)
		}
		d.println(name + " passed sanity check.")
		return nil
	}
	at := map[int64]int64{} // the offset that an entry at this position is to have
	if _, _, err := batches(strings.TrimSuffix(name, ".index")+".log", math.MaxInt64, func(pos int64, b []byte) error {
		at[pos] = lastOffset(b)
		if klamm {
			at[pos] = int64(binary.BigEndian.Uint64(b))
		}
		return nil
	}); err != nil {
		return err
	}
	for i, e := range entries {
		if e.a == start && i > 0 {
			return nil // space that was made ready
		}
		if there, ok := at[e.b]; !ok || there != e.a {
			d.index.add(name, e.a, there)
		}
		if !d.has("verify-index-only") {
			d.printf("offset: %d position: %d\n", e.a, e.b)
		}
	}
	return nil
}

// lastOffset is the last offset of a batch of any magic.
func lastOffset(b []byte) int64 {
	if record.Magic(b) < 2 {
		return int64(binary.BigEndian.Uint64(b))
	}
	return record.Batch(b).LastOffset()
}

// indexEntries are the offsets and positions of an index, and whether it is klamm's (docs/format/segments.md).
func indexEntries(b []byte, start int64) (entries []pair, klamm bool) {
	if klamm = len(b) >= 28 && string(b[:4]) == "KLIX"; klamm {
		n := int(min(int64(binary.BigEndian.Uint32(b[24:])), int64(len(b)-28)/16))
		for i := range n {
			e := b[28+16*i:]
			entries = append(entries, pair{start + int64(binary.BigEndian.Uint32(e)), int64(binary.BigEndian.Uint32(e[4:]))})
		}
		return entries, true
	}
	for ; len(b) >= 8; b = b[8:] {
		entries = append(entries, pair{start + int64(int32(binary.BigEndian.Uint32(b))), int64(int32(binary.BigEndian.Uint32(b[4:])))})
	}
	return entries, false
}

// timeIndex shows Kafka's index of timestamps: 8 bytes of time and 4 of an offset each.
func (d *dumpRun) timeIndex(name string) error {
	start, err := startOffset(name)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if d.has("index-sanity-check") {
		if len(b)%12 != 0 {
			return saysf("Time index file %s is corrupt, found %d bytes which is neither positive nor a multiple of 12.", name, len(b))
		}
		d.println(name + " passed sanity check.")
		return nil
	}
	type end struct{ last, most int64 }
	var ends []end
	if _, _, err := batches(strings.TrimSuffix(name, ".timeindex")+".log", math.MaxInt64, func(_ int64, b []byte) error {
		most := int64(-1)
		if record.Magic(b) >= 2 {
			most = record.Batch(b).MaxTimestamp()
		}
		ends = append(ends, end{lastOffset(b), most})
		return nil
	}); err != nil {
		return err
	}
	before := int64(-1)
	for i := 0; len(b) >= 12; i, b = i+1, b[12:] {
		ts, offset := int64(binary.BigEndian.Uint64(b)), start+int64(int32(binary.BigEndian.Uint32(b[8:])))
		if offset == start && i > 0 {
			return nil
		}
		at, _ := slices.BinarySearchFunc(ends, offset, func(e end, o int64) int { return int(max(-1, min(1, e.last-o))) })
		switch {
		case at == len(ends):
			d.lost.add(name, offset, -1)
		case ends[at].last != offset:
			d.lost.add(name, offset, ends[at].last)
		default:
			if ends[at].most != ts {
				d.times.add(name, ts, ends[at].most)
			}
			if before >= ts {
				d.disordered.add(name, ts, before)
			}
		}
		if !d.has("verify-index-only") {
			d.printf("timestamp: %d offset: %d\n", ts, offset)
		}
		before = ts
	}
	return nil
}

// aborted shows Kafka's index of aborted transactions: entries of 34 bytes.
func (d *dumpRun) aborted(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for ; len(b) >= 34; b = b[34:] {
		d.printf("version: %d producerId: %d firstOffset: %d lastOffset: %d lastStableOffset: %d\n", binary.BigEndian.Uint16(b),
			int64(binary.BigEndian.Uint64(b[2:])), int64(binary.BigEndian.Uint64(b[10:])), int64(binary.BigEndian.Uint64(b[18:])), int64(binary.BigEndian.Uint64(b[26:])))
	}
	return nil
}

// producers shows Kafka's snapshot of producers: a version, a CRC32C, and entries of 46 bytes.
func (d *dumpRun) producers(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if len(b) < 10 || crc32.Checksum(b[6:], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[2:]) {
		fmt.Fprintf(d.err, "Snapshot file '%s' is corrupted (CRC is no longer valid).\n", name)
		return nil
	}
	const size = 46
	for b = b[10:]; len(b) >= size; b = b[size:] {
		i64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
		i32 := func(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
		first := "OptionalLong.empty"
		if o := i64(38); o >= 0 {
			first = fmt.Sprintf("OptionalLong[%d]", o)
		}
		d.printf("producerId: %d producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: %s lastTimestamp: %d", i64(0), int16(binary.BigEndian.Uint16(b[8:])), i32(34), first, i64(26))
		if last := i64(14); last >= 0 {
			d.printf(" firstSequence: %d lastSequence: %d lastOffset: %d offsetDelta: %d timestamp: %d", record.AddSequence(i32(10), -i32(22)), i32(10), last, i32(22), i64(26))
		}
		d.printf("\n")
	}
	return nil
}
