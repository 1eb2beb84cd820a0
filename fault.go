package klamm

import "time"

// Fault is what shall go wrong with which requests. Everything that is set has to hold for a request to
// be struck; one fault strikes a request at most, the oldest that does. What is not set holds for all.
// A fault has a Delay, or one of Error, DropRequest and DropAnswer, or both.
type Fault struct {
	// API is Kafka's name of an API, Produce for example, or its key as a number; empty for every one,
	// those by which a client begins among them.
	API string
	// Topic, Group and ClientID strike requests that name the topic or the group, among others perhaps,
	// or whose client gave itself that id.
	Topic, Group, ClientID string
	// Times is how many requests are struck before the fault is over; 0 for as many as come.
	Times int
	// Probability is the chance of a request to be struck, above 0 and up to 1; 0 means 1. It is drawn from Seed.
	Probability float64
	// Seed is where the chances begin; the same requests in the same order are struck by the same seed.
	Seed uint64
	// Delay holds the answer back for that long, or what comes in its place. What the client has asked
	// for behind it on the same connection waits too, as answers keep their order.
	Delay time.Duration
	// Error is the code that the request is answered with, by Kafka's name, NOT_LEADER_OR_FOLLOWER for
	// example, or as a number. It stands wherever the response has a place for one: on each partition,
	// topic or group that the request names, and on the whole. The request itself is not handled, but
	// Metadata, which is answered with the code on every topic. A Produce with acks=0, which has no
	// answer, ends its connection.
	Error string
	// DropRequest closes the connection in place of handling the request: nothing of it happens.
	DropRequest bool
	// DropAnswer handles the request and closes the connection in place of answering: it has happened,
	// and the client cannot know.
	DropAnswer bool
}
