package app

// KnownProperty says that a client's property is one of librdkafka's or of Java's, whether it has an effect
// here or not. Commands that obey files written for other programs leave the rest out, as those programs do.
func KnownProperty(name string) bool {
	_, ok := knownProperties()[name]
	return ok
}
