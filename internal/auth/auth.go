// Package auth says who may do what.
package auth

import "net"

// Principal is who made a call, as Kafka writes it: a type and a name.
type Principal struct{ Type, Name string }

// Anonymous is the principal of a connection without authentication.
var Anonymous = Principal{Type: "User", Name: "ANONYMOUS"}

// String returns the form that Kafka's ACLs use, User:alice for example.
func (p Principal) String() string { return p.Type + ":" + p.Name }

// ResourceType is a kind of thing that is protected, numbered as on the wire (KIP-11).
type ResourceType int8

// The resource types of Kafka's protocol.
const (
	UnknownResource ResourceType = 0
	AnyResource     ResourceType = 1
	Topic           ResourceType = 2
	Group           ResourceType = 3
	Cluster         ResourceType = 4
	TransactionalID ResourceType = 5
	DelegationToken ResourceType = 6
	UserResource    ResourceType = 7
)

// Operation is what is done to a resource, numbered as on the wire.
type Operation int8

// The operations of Kafka's protocol.
const (
	UnknownOperation Operation = 0
	AnyOperation     Operation = 1
	All              Operation = 2
	Read             Operation = 3
	Write            Operation = 4
	Create           Operation = 5
	Delete           Operation = 6
	Alter            Operation = 7
	Describe         Operation = 8
	ClusterAction    Operation = 9
	DescribeConfigs  Operation = 10
	AlterConfigs     Operation = 11
	IdempotentWrite  Operation = 12
	CreateTokens     Operation = 13
	DescribeTokens   Operation = 14
	TwoPhaseCommit   Operation = 15
)

// ClusterName is the name of the one resource of type Cluster.
const ClusterName = "kafka-cluster"

// Authorizer decides. It is called for every resource of every request and must not allocate or wait.
type Authorizer interface {
	// Allowed says whether principal, calling from that address, may do op to the named resource.
	Allowed(principal Principal, from net.Addr, op Operation, resource ResourceType, name string) bool
	// Enabled says whether there are ACLs at all; without, describing them is SECURITY_DISABLED.
	Enabled() bool
}

// Open is the authorizer of a broker that has none: everything is allowed.
type Open struct{}

// Allowed returns true.
func (Open) Allowed(Principal, net.Addr, Operation, ResourceType, string) bool { return true }

// Enabled returns false.
func (Open) Enabled() bool { return false }

// EmptyACLs is StandardAuthorizer with allow.everyone.if.no.acl.found=true while
// no ACL can be stored: an empty list is the truth, and everything is allowed.
type EmptyACLs struct{}

// Allowed returns true.
func (EmptyACLs) Allowed(Principal, net.Addr, Operation, ResourceType, string) bool { return true }

// Enabled returns true.
func (EmptyACLs) Enabled() bool { return true }

// operationsOf are the operations that exist on each resource type, as in Kafka's AclEntry.
var operationsOf = map[ResourceType][]Operation{
	Topic:           {Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs},
	Group:           {Read, Describe, Delete, DescribeConfigs, AlterConfigs},
	Cluster:         {Create, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, Alter, Describe},
	TransactionalID: {Describe, Write, TwoPhaseCommit},
}

// AuthorizedOperations is the bit field that describe responses carry (KIP-430):
// bit n is set when operation n on the resource is allowed.
func AuthorizedOperations(a Authorizer, p Principal, from net.Addr, resource ResourceType, name string) int32 {
	var bits int32
	for _, op := range operationsOf[resource] {
		if a.Allowed(p, from, op, resource, name) {
			bits |= 1 << op
		}
	}
	return bits
}
