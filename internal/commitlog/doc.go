// Package commitlog keeps the logs of partitions on disk: Kafka's record batches,
// byte for byte, in segments; one journal a log directory that lets it start
// without reading them; group commit; recovery after a crash; retention.
//
// A [Dir] is one log directory and owns every goroutine: a [Log] is a value with
// two mutexes and costs some hundred bytes while nothing was appended to it. The
// formats on disk are drawn in docs/format/segments.md, journal.md and
// meta-properties.md.
//
// Two classes of logs (Options.FlushBeforeAck): for the durable class every append
// schedules a group commit, and the log's owner acknowledges what
// [Bounds].Flushed has passed; for the page-cache class an append counts when it
// is written, as in Apache Kafka.
//
// Storage errors are KAFKA_STORAGE_ERROR. A full disk refuses appends until there
// is room again. A failed fsync is never repeated: it stops the directory, and
// Dir.Run returns it.
package commitlog
