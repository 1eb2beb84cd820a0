package controller

import (
	"strings"
	"testing"
)

func TestARefusedNameShowsTheCharacterAsItWasWritten(t *testing.T) {
	if err := ValidateTopicName("grün"); err == nil || !strings.Contains(err.Error(), "contains 'ü'") {
		t.Errorf("%v", err)
	}
}
