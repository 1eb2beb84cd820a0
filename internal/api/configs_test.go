package api

import (
	"slices"
	"testing"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// configuredBroker has a topic key with a broker key behind it, and a secret; its file sets all of them.
func configuredBroker(t *testing.T) *Broker {
	t.Helper()
	keys, err := config.NewSet([]config.Key{
		{Name: "retention.ms", Scope: config.Topic, Kind: config.Long, Default: "100", Synonyms: []string{"log.retention.ms"}, Doc: "How long."},
		{Name: "log.retention.ms", Scope: config.Broker, Kind: config.Long, Null: true, Update: config.ClusterWide, Doc: "How long.", NoEffect: "it is a test"},
		{Name: "ssl.key.password", Scope: config.Broker, Kind: config.Password, Null: true, Doc: "A secret."},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Broker{Deps: Deps{NodeID: 1, Keys: keys, Authorizer: auth.Open{}, Static: map[string]string{"log.retention.ms": "300", "ssl.key.password": "hush", "plugin.secret": "hush"}}}
}

func TestDescribeConfigsShowsLayersAndNoSecrets(t *testing.T) {
	b := configuredBroker(t)
	image := clusterOf(t, map[string]int{"x": 1})
	value := "500"
	image, _, err := image.Apply([]metadata.Record{&wire.ConfigRecord{ResourceType: metadata.TopicResource, ResourceName: "x", Name: "retention.ms", Value: &value}}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := b.configsOf(image, &configsAsked{ResourceType: metadata.TopicResource, ResourceName: "x"})
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	e := entries[0]
	if *e.Value != "500" || e.ConfigSource != int8(config.DynamicTopic) || e.IsDefault || len(e.Synonyms) != 2 || *e.Synonyms[1].Value != "300" {
		t.Errorf("topic: %+v", e)
	}
	entries, err = b.configsOf(image, &configsAsked{ResourceType: metadata.BrokerResource, ResourceName: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if (e.Name != "log.retention.ms") != e.IsSensitive {
			t.Errorf("%s: sensitive is %v", e.Name, e.IsSensitive)
		}
		for _, s := range e.Synonyms {
			if e.IsSensitive && (e.Value != nil || s.Value != nil) {
				t.Errorf("%s is shown", e.Name)
			}
		}
		if e.Name == "log.retention.ms" && (e.ReadOnly || *e.Documentation != "How long. It has no effect here: it is a test.") {
			t.Errorf("%+v %s", e, *e.Documentation)
		}
	}
	if names := []string{entries[0].Name, entries[1].Name, entries[2].Name}; !slices.Equal(names, []string{"log.retention.ms", "ssl.key.password", "plugin.secret"}) {
		t.Error(names)
	}
	short := tailor(entries, []string{"ssl.key.password", "other"}, false, false)
	if len(short) != 1 || len(short[0].Synonyms) != 0 || short[0].Documentation != nil {
		t.Errorf("tailored: %+v", short)
	}
}

func TestDescribeConfigsOfResourcesThatAreNotHere(t *testing.T) {
	b, image := configuredBroker(t), clusterOf(t, nil)
	for _, test := range []struct {
		kind int8
		name string
		want code.Error
	}{
		{metadata.TopicResource, "none", code.UnknownTopicOrPartition}, {metadata.TopicResource, "bad name", code.InvalidTopicException}, {metadata.TopicResource, "", code.InvalidTopicException},
		{metadata.BrokerResource, "2", code.InvalidRequest}, {metadata.BrokerResource, "x", code.InvalidRequest}, {metadata.BrokerLoggerResource, "", code.InvalidRequest},
		{metadata.BrokerLoggerResource, "2", code.InvalidRequest}, {metadata.ClientMetricsResource, "", code.InvalidRequest}, {metadata.GroupResource, "", code.InvalidRequest}, {99, "x", code.InvalidRequest},
		{metadata.BrokerResource, "", code.None}, {metadata.BrokerLoggerResource, "", code.InvalidRequest},
	} {
		if _, err := b.configsOf(image, &configsAsked{ResourceType: test.kind, ResourceName: test.name}); code.Of(err) != test.want {
			t.Errorf("type %d %q: %v, want %v", test.kind, test.name, err, test.want)
		}
	}
}
