package code

import (
	"errors"
	"fmt"
	"testing"
)

func TestOfFindsTheCodeInAnErrorChain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Error
	}{
		{nil, None},
		{NotLeaderOrFollower, NotLeaderOrFollower},
		{fmt.Errorf("open: %w", KafkaStorageError), KafkaStorageError},
		{fmt.Errorf("outer: %w", Errorf(InvalidConfig, "retention.ms=x is no number")), InvalidConfig},
		{errors.New("foreign"), UnknownServerError},
	} {
		if got := Of(c.err); got != c.want {
			t.Errorf("Of(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestMessageIsTheSentenceForTheClient(t *testing.T) {
	err := fmt.Errorf("create: %w", Errorf(InvalidConfig, "bad %s", "value"))
	if m := Message(err); m == nil || *m != "bad value" {
		t.Errorf("Message = %v", m)
	}
	if m := Message(NotController); m != nil {
		t.Errorf("a bare code has no sentence, got %q", *m)
	}
}

func TestNamesAndRetriability(t *testing.T) {
	if OffsetOutOfRange != 1 || OffsetOutOfRange.Error() != "OFFSET_OUT_OF_RANGE" || OffsetOutOfRange.Retriable() {
		t.Error("OFFSET_OUT_OF_RANGE is code 1 and not retriable")
	}
	if !NotLeaderOrFollower.Retriable() {
		t.Error("NOT_LEADER_OR_FOLLOWER is retriable")
	}
	if Error(9999).Error() != "UNKNOWN_ERROR_CODE_9999" {
		t.Errorf("unknown code prints as %q", Error(9999).Error())
	}
	for i, e := range All() {
		if int(e) != i-1 || e.Error() == "" {
			t.Errorf("code %d is named %q", i-1, e.Error())
		}
	}
}
