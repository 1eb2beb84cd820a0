package record

// The least length field of a message: CRC, magic and attributes, a timestamp in
// magic 1, and the lengths of key and value.
const (
	minV0 = 4 + 1 + 1 + 4 + 4
	minV1 = minV0 + 8
)
