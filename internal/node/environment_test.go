package node

import (
	"strings"
	"testing"
)

func TestTheEnvironmentWinsOverTheFileAndTheFlagOverBoth(t *testing.T) {
	file := []byte("node.id=1\nprocess.roles=broker,controller\nlisteners=PLAINTEXT://localhost:9092\nlog.dirs=/d\nnum.partitions=2\nlog.retention.ms=5\n")
	env := []string{"KAFKA_NUM_PARTITIONS=3", "KAFKA_LOG_RETENTION_MS=6", "KAFKA_OPTS=-Xmx1g", "KAFKA_BOOTSTRAP_SERVERS=x:1", "HOME=/h", "KLAMM_NUM_PARTITIONS=9"}
	cfg, err := Read(Source{File: "f", Data: file, Environment: env, Overrides: []string{"log.retention.ms=7"}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][2]string{
		"num.partitions": {"3", "environment KAFKA_NUM_PARTITIONS"}, "log.retention.ms": {"7", "flag --override"}, "log.dirs": {"/d", "f:4"},
		"broker.id": {"1", "f:1"},
	} {
		if cfg.Static[key] != want[0] || cfg.Origins[key] != want[1] {
			t.Errorf("%s is %q from %q, want %v", key, cfg.Static[key], cfg.Origins[key], want)
		}
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("variables that name no key were warned of: %v", cfg.Warnings)
	}
	_, err = Read(Source{File: "f", Data: file, Environment: []string{"KAFKA_NUM_PARTITIONS=x"}})
	if err == nil || !strings.Contains(err.Error(), "KAFKA_NUM_PARTITIONS in the environment: num.partitions=x") {
		t.Errorf("%v", err)
	}
}

func TestPropertiesKnowTheirLines(t *testing.T) {
	props, err := Properties("f", []byte("# c\na=1,\\\n 2\n\nb=3\nc=4\\"))
	want := []Property{{"a", "1,2", 2, 3}, {"b", "3", 5, 5}, {"c", "4", 6, 6}}
	if err != nil || len(props) != 3 || props[0] != want[0] || props[1] != want[1] || props[2] != want[2] {
		t.Errorf("%+v, %v", props, err)
	}
}
