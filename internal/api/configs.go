package api

import (
	"context"

	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

func (b *Broker) describeConfigs(_ context.Context, c *rpc.Call, q *wire.DescribeConfigsRequest, _ *rpc.Reply) wire.Message {
	return nil
}
func (b *Broker) alterConfigs(_ context.Context, c *rpc.Call, q *wire.AlterConfigsRequest, _ *rpc.Reply) wire.Message {
	return nil
}
func (b *Broker) incrementalAlterConfigs(_ context.Context, c *rpc.Call, q *wire.IncrementalAlterConfigsRequest, _ *rpc.Reply) wire.Message {
	return nil
}
func (b *Broker) listConfigResources(_ context.Context, c *rpc.Call, q *wire.ListConfigResourcesRequest, _ *rpc.Reply) wire.Message {
	return nil
}
