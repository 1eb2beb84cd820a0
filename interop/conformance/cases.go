package main

import "slices"

// cases is the table of all that is asked.
func cases() []kase {
	return slices.Concat(clusterCases(), topicCases(), configCases(), produceCases(), fetchCases(), offsetCases(), groupCases(), producerCases(), frameCases())
}
