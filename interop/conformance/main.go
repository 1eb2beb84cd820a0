// Command conformance asks two brokers the same and compares what they answer, field by field: every
// API at every version that both serve, with good requests and with bad ones. Requests are frames of
// our own making over TCP, no client library stands between.
//
//	conformance -left 127.0.0.1:19092 -right 127.0.0.1:29092 [-run REGEXP] [-accepted FILE] [-v]
//	conformance -left 127.0.0.1:19092 -record kafka-4.4.0.answers.gz
//	conformance -left kafka-4.4.0.answers.gz -right 127.0.0.1:29092
//
// What may differ between two brokers that are both right (ids, times, addresses, the words of
// error messages, the order of sets) is masked. A difference that is meant stands in the file of
// accepted differences with its reason. It prints a line for each difference that is left, and
// ends with status 1 when there is one.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.left, "left", "", "host:port of the broker that is right, or its recorded answers ("+transcriptSuffix+")")
	flag.StringVar(&o.right, "right", "", "host:port of the broker to compare with it")
	flag.StringVar(&o.only, "run", "", "only the cases whose name this regular expression matches")
	flag.StringVar(&o.accepted, "accepted", "", "file of accepted differences: a regular expression over the difference's line, a tab, the reason")
	flag.StringVar(&o.id, "id", fmt.Sprintf("%x", time.Now().Unix()&0xffffff), "part of the names of topics and groups; another one for each run against brokers that keep their data")
	flag.StringVar(&o.record, "record", "", "write the left broker's answers to this file ("+transcriptSuffix+"), to compare with later")
	flag.BoolVar(&o.verbose, "v", false, "print every answer of the left broker too")
	flag.BoolVar(&o.list, "list", false, "print the cases' names and end")
	flag.Parse()
	left, err := conform(o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	if left > 0 {
		os.Exit(1)
	}
}

type options struct {
	left, right, only, accepted, id, record string
	verbose, list                           bool
}

// conform runs the cases against both brokers and returns how many differences are left.
func conform(o options, out io.Writer) (int, error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return 0, err
	}
	all := cases()
	all = slices.DeleteFunc(all, func(c kase) bool { return !only.MatchString(c.name) })
	if o.list {
		for _, c := range all {
			fmt.Fprintln(out, c.name)
		}
		return 0, nil
	}
	if o.left == "" || o.right == "" && o.record == "" {
		return 0, errors.New("give both brokers, -left host:port and -right host:port, or one and -record FILE")
	}
	accepted, err := readAccepted(o.accepted)
	if err != nil {
		return 0, err
	}
	left, right := &side{}, &side{broker: &broker{address: o.right, id: o.id}}
	if strings.HasSuffix(o.left, transcriptSuffix) {
		if left.transcript, err = readTranscript(o.left); err != nil {
			return 0, err
		}
	} else {
		left.broker = &broker{address: o.left, id: o.id}
	}
	serves := map[int16][2]int16{}
	for _, s := range []*side{left, right} {
		if s.broker == nil {
			serves = s.transcript.Serves
			continue
		}
		if o.right == "" && s == right {
			continue
		}
		if err := s.broker.ready(); err != nil {
			return 0, fmt.Errorf("broker %s: %w", s.broker.address, err)
		}
		serves = agree(serves, s.broker.serves)
	}
	for _, s := range []*side{left, right} {
		if s.broker != nil {
			s.broker.serves = serves
		}
	}
	record := &transcript{Serves: serves, Answers: map[string][]step{}}
	if was, err := readTranscript(o.record); o.record != "" && err == nil {
		record = was // some cases again
	}
	steps, open, excused := 0, 0, 0
	for _, c := range all {
		var answers [2][]step
		done := make(chan struct{})
		go func() { // both at once
			defer close(done)
			if o.right != "" {
				answers[1] = runCase(c, right.broker)
			}
		}()
		if left.broker != nil {
			answers[0] = runCase(c, left.broker)
		} else {
			answers[0] = left.transcript.Answers[c.name]
		}
		<-done
		record.Answers[c.name] = answers[0]
		for _, s := range answers[0] {
			if o.verbose {
				fmt.Fprintf(out, "    %s/%s %v\n", c.name, s.Label, s.Fields)
			}
		}
		steps += len(answers[0])
		if o.right == "" {
			continue
		}
		for _, d := range compare(c.name, answers[0], answers[1]) {
			if accepted.excuse(d) {
				excused++
				continue
			}
			open++
			fmt.Fprintln(out, d)
		}
	}
	if o.record != "" {
		return 0, record.write(o.record)
	}
	if o.only == "" {
		for _, a := range accepted {
			if a.used == 0 {
				open++
				fmt.Fprintf(out, "accepted, but it did not happen: %s\n", a.pattern)
			}
		}
	}
	fmt.Fprintf(out, "%d cases, %d answers compared, %d differences accepted, %d left\n", len(all), steps, excused, open)
	return open, nil
}

// excuse is a line of the file of accepted differences.
type excuse struct {
	pattern *regexp.Regexp
	reason  string
	used    int
}

type excuses []*excuse

func (e excuses) excuse(difference string) bool {
	for _, a := range e {
		if a.pattern.MatchString(difference) {
			a.used++
			return true
		}
	}
	return false
}

func readAccepted(name string) (excuses, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var list excuses
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, reason, ok := strings.Cut(line, "\t")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s: %q has no reason; write the expression, a tab, the reason", name, line)
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, &excuse{pattern: re, reason: strings.TrimSpace(reason)})
	}
	return list, nil
}
