// Package code holds the error codes of Kafka's protocol as Go errors, so that
// every room says what went wrong in the one vocabulary that clients understand.
package code

// The error codes of Apache Kafka 4.4's protocol, by the protocol's own names.
// The numbers are on the wire and never change.
const (
	UnknownServerError                     Error = -1
	None                                   Error = 0
	OffsetOutOfRange                       Error = 1
	CorruptMessage                         Error = 2
	UnknownTopicOrPartition                Error = 3
	InvalidFetchSize                       Error = 4
	LeaderNotAvailable                     Error = 5
	NotLeaderOrFollower                    Error = 6
	RequestTimedOut                        Error = 7
	BrokerNotAvailable                     Error = 8
	ReplicaNotAvailable                    Error = 9
	MessageTooLarge                        Error = 10
	StaleControllerEpoch                   Error = 11
	OffsetMetadataTooLarge                 Error = 12
	NetworkException                       Error = 13
	CoordinatorLoadInProgress              Error = 14
	CoordinatorNotAvailable                Error = 15
	NotCoordinator                         Error = 16
	InvalidTopicException                  Error = 17
	RecordListTooLarge                     Error = 18
	NotEnoughReplicas                      Error = 19
	NotEnoughReplicasAfterAppend           Error = 20
	InvalidRequiredAcks                    Error = 21
	IllegalGeneration                      Error = 22
	InconsistentGroupProtocol              Error = 23
	InvalidGroupId                         Error = 24
	UnknownMemberId                        Error = 25
	InvalidSessionTimeout                  Error = 26
	RebalanceInProgress                    Error = 27
	InvalidCommitOffsetSize                Error = 28
	TopicAuthorizationFailed               Error = 29
	GroupAuthorizationFailed               Error = 30
	ClusterAuthorizationFailed             Error = 31
	InvalidTimestamp                       Error = 32
	UnsupportedSaslMechanism               Error = 33
	IllegalSaslState                       Error = 34
	UnsupportedVersion                     Error = 35
	TopicAlreadyExists                     Error = 36
	InvalidPartitions                      Error = 37
	InvalidReplicationFactor               Error = 38
	InvalidReplicaAssignment               Error = 39
	InvalidConfig                          Error = 40
	NotController                          Error = 41
	InvalidRequest                         Error = 42
	UnsupportedForMessageFormat            Error = 43
	PolicyViolation                        Error = 44
	OutOfOrderSequenceNumber               Error = 45
	DuplicateSequenceNumber                Error = 46
	InvalidProducerEpoch                   Error = 47
	InvalidTxnState                        Error = 48
	InvalidProducerIdMapping               Error = 49
	InvalidTransactionTimeout              Error = 50
	ConcurrentTransactions                 Error = 51
	TransactionCoordinatorFenced           Error = 52
	TransactionalIdAuthorizationFailed     Error = 53
	SecurityDisabled                       Error = 54
	OperationNotAttempted                  Error = 55
	KafkaStorageError                      Error = 56
	LogDirNotFound                         Error = 57
	SaslAuthenticationFailed               Error = 58
	UnknownProducerId                      Error = 59
	ReassignmentInProgress                 Error = 60
	DelegationTokenAuthDisabled            Error = 61
	DelegationTokenNotFound                Error = 62
	DelegationTokenOwnerMismatch           Error = 63
	DelegationTokenRequestNotAllowed       Error = 64
	DelegationTokenAuthorizationFailed     Error = 65
	DelegationTokenExpired                 Error = 66
	InvalidPrincipalType                   Error = 67
	NonEmptyGroup                          Error = 68
	GroupIdNotFound                        Error = 69
	FetchSessionIdNotFound                 Error = 70
	InvalidFetchSessionEpoch               Error = 71
	ListenerNotFound                       Error = 72
	TopicDeletionDisabled                  Error = 73
	FencedLeaderEpoch                      Error = 74
	UnknownLeaderEpoch                     Error = 75
	UnsupportedCompressionType             Error = 76
	StaleBrokerEpoch                       Error = 77
	OffsetNotAvailable                     Error = 78
	MemberIdRequired                       Error = 79
	PreferredLeaderNotAvailable            Error = 80
	GroupMaxSizeReached                    Error = 81
	FencedInstanceId                       Error = 82
	EligibleLeadersNotAvailable            Error = 83
	ElectionNotNeeded                      Error = 84
	NoReassignmentInProgress               Error = 85
	GroupSubscribedToTopic                 Error = 86
	InvalidRecord                          Error = 87
	UnstableOffsetCommit                   Error = 88
	ThrottlingQuotaExceeded                Error = 89
	ProducerFenced                         Error = 90
	ResourceNotFound                       Error = 91
	DuplicateResource                      Error = 92
	UnacceptableCredential                 Error = 93
	InconsistentVoterSet                   Error = 94
	InvalidUpdateVersion                   Error = 95
	FeatureUpdateFailed                    Error = 96
	PrincipalDeserializationFailure        Error = 97
	SnapshotNotFound                       Error = 98
	PositionOutOfRange                     Error = 99
	UnknownTopicId                         Error = 100
	DuplicateBrokerRegistration            Error = 101
	BrokerIdNotRegistered                  Error = 102
	InconsistentTopicId                    Error = 103
	InconsistentClusterId                  Error = 104
	TransactionalIdNotFound                Error = 105
	FetchSessionTopicIdError               Error = 106
	IneligibleReplica                      Error = 107
	NewLeaderElected                       Error = 108
	OffsetMovedToTieredStorage             Error = 109
	FencedMemberEpoch                      Error = 110
	UnreleasedInstanceId                   Error = 111
	UnsupportedAssignor                    Error = 112
	StaleMemberEpoch                       Error = 113
	MismatchedEndpointType                 Error = 114
	UnsupportedEndpointType                Error = 115
	UnknownControllerId                    Error = 116
	UnknownSubscriptionId                  Error = 117
	TelemetryTooLarge                      Error = 118
	InvalidRegistration                    Error = 119
	TransactionAbortable                   Error = 120
	InvalidRecordState                     Error = 121
	ShareSessionNotFound                   Error = 122
	InvalidShareSessionEpoch               Error = 123
	FencedStateEpoch                       Error = 124
	InvalidVoterKey                        Error = 125
	DuplicateVoter                         Error = 126
	VoterNotFound                          Error = 127
	InvalidRegularExpression               Error = 128
	RebootstrapRequired                    Error = 129
	StreamsInvalidTopology                 Error = 130
	StreamsInvalidTopologyEpoch            Error = 131
	StreamsTopologyFenced                  Error = 132
	ShareSessionLimitReached               Error = 133
	GroupDeletionFailed                    Error = 134
	StreamsTopologyDescriptionUpdateFailed Error = 135
	ControllerIdNotRegistered              Error = 136
)

// entry is what is known of one code.
type entry struct {
	name      string
	retriable bool
}

// entries are indexed by code+1, as the codes begin at -1 and have no gaps.
var entries = [...]entry{
	{"UNKNOWN_SERVER_ERROR", false},
	{"NONE", false},
	{"OFFSET_OUT_OF_RANGE", false},
	{"CORRUPT_MESSAGE", true},
	{"UNKNOWN_TOPIC_OR_PARTITION", true},
	{"INVALID_FETCH_SIZE", false},
	{"LEADER_NOT_AVAILABLE", true},
	{"NOT_LEADER_OR_FOLLOWER", true},
	{"REQUEST_TIMED_OUT", true},
	{"BROKER_NOT_AVAILABLE", false},
	{"REPLICA_NOT_AVAILABLE", true},
	{"MESSAGE_TOO_LARGE", false},
	{"STALE_CONTROLLER_EPOCH", false},
	{"OFFSET_METADATA_TOO_LARGE", false},
	{"NETWORK_EXCEPTION", true},
	{"COORDINATOR_LOAD_IN_PROGRESS", true},
	{"COORDINATOR_NOT_AVAILABLE", true},
	{"NOT_COORDINATOR", true},
	{"INVALID_TOPIC_EXCEPTION", false},
	{"RECORD_LIST_TOO_LARGE", false},
	{"NOT_ENOUGH_REPLICAS", true},
	{"NOT_ENOUGH_REPLICAS_AFTER_APPEND", true},
	{"INVALID_REQUIRED_ACKS", false},
	{"ILLEGAL_GENERATION", false},
	{"INCONSISTENT_GROUP_PROTOCOL", false},
	{"INVALID_GROUP_ID", false},
	{"UNKNOWN_MEMBER_ID", false},
	{"INVALID_SESSION_TIMEOUT", false},
	{"REBALANCE_IN_PROGRESS", false},
	{"INVALID_COMMIT_OFFSET_SIZE", false},
	{"TOPIC_AUTHORIZATION_FAILED", false},
	{"GROUP_AUTHORIZATION_FAILED", false},
	{"CLUSTER_AUTHORIZATION_FAILED", false},
	{"INVALID_TIMESTAMP", false},
	{"UNSUPPORTED_SASL_MECHANISM", false},
	{"ILLEGAL_SASL_STATE", false},
	{"UNSUPPORTED_VERSION", false},
	{"TOPIC_ALREADY_EXISTS", false},
	{"INVALID_PARTITIONS", false},
	{"INVALID_REPLICATION_FACTOR", false},
	{"INVALID_REPLICA_ASSIGNMENT", false},
	{"INVALID_CONFIG", false},
	{"NOT_CONTROLLER", true},
	{"INVALID_REQUEST", false},
	{"UNSUPPORTED_FOR_MESSAGE_FORMAT", false},
	{"POLICY_VIOLATION", false},
	{"OUT_OF_ORDER_SEQUENCE_NUMBER", false},
	{"DUPLICATE_SEQUENCE_NUMBER", false},
	{"INVALID_PRODUCER_EPOCH", false},
	{"INVALID_TXN_STATE", false},
	{"INVALID_PRODUCER_ID_MAPPING", false},
	{"INVALID_TRANSACTION_TIMEOUT", false},
	{"CONCURRENT_TRANSACTIONS", true},
	{"TRANSACTION_COORDINATOR_FENCED", false},
	{"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false},
	{"SECURITY_DISABLED", false},
	{"OPERATION_NOT_ATTEMPTED", false},
	{"KAFKA_STORAGE_ERROR", true},
	{"LOG_DIR_NOT_FOUND", false},
	{"SASL_AUTHENTICATION_FAILED", false},
	{"UNKNOWN_PRODUCER_ID", false},
	{"REASSIGNMENT_IN_PROGRESS", false},
	{"DELEGATION_TOKEN_AUTH_DISABLED", false},
	{"DELEGATION_TOKEN_NOT_FOUND", false},
	{"DELEGATION_TOKEN_OWNER_MISMATCH", false},
	{"DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false},
	{"DELEGATION_TOKEN_AUTHORIZATION_FAILED", false},
	{"DELEGATION_TOKEN_EXPIRED", false},
	{"INVALID_PRINCIPAL_TYPE", false},
	{"NON_EMPTY_GROUP", false},
	{"GROUP_ID_NOT_FOUND", false},
	{"FETCH_SESSION_ID_NOT_FOUND", true},
	{"INVALID_FETCH_SESSION_EPOCH", true},
	{"LISTENER_NOT_FOUND", true},
	{"TOPIC_DELETION_DISABLED", false},
	{"FENCED_LEADER_EPOCH", true},
	{"UNKNOWN_LEADER_EPOCH", true},
	{"UNSUPPORTED_COMPRESSION_TYPE", false},
	{"STALE_BROKER_EPOCH", false},
	{"OFFSET_NOT_AVAILABLE", true},
	{"MEMBER_ID_REQUIRED", false},
	{"PREFERRED_LEADER_NOT_AVAILABLE", true},
	{"GROUP_MAX_SIZE_REACHED", false},
	{"FENCED_INSTANCE_ID", false},
	{"ELIGIBLE_LEADERS_NOT_AVAILABLE", true},
	{"ELECTION_NOT_NEEDED", true},
	{"NO_REASSIGNMENT_IN_PROGRESS", false},
	{"GROUP_SUBSCRIBED_TO_TOPIC", false},
	{"INVALID_RECORD", false},
	{"UNSTABLE_OFFSET_COMMIT", true},
	{"THROTTLING_QUOTA_EXCEEDED", true},
	{"PRODUCER_FENCED", false},
	{"RESOURCE_NOT_FOUND", false},
	{"DUPLICATE_RESOURCE", false},
	{"UNACCEPTABLE_CREDENTIAL", false},
	{"INCONSISTENT_VOTER_SET", false},
	{"INVALID_UPDATE_VERSION", false},
	{"FEATURE_UPDATE_FAILED", false},
	{"PRINCIPAL_DESERIALIZATION_FAILURE", false},
	{"SNAPSHOT_NOT_FOUND", false},
	{"POSITION_OUT_OF_RANGE", false},
	{"UNKNOWN_TOPIC_ID", true},
	{"DUPLICATE_BROKER_REGISTRATION", false},
	{"BROKER_ID_NOT_REGISTERED", false},
	{"INCONSISTENT_TOPIC_ID", true},
	{"INCONSISTENT_CLUSTER_ID", false},
	{"TRANSACTIONAL_ID_NOT_FOUND", false},
	{"FETCH_SESSION_TOPIC_ID_ERROR", true},
	{"INELIGIBLE_REPLICA", false},
	{"NEW_LEADER_ELECTED", false},
	{"OFFSET_MOVED_TO_TIERED_STORAGE", false},
	{"FENCED_MEMBER_EPOCH", false},
	{"UNRELEASED_INSTANCE_ID", false},
	{"UNSUPPORTED_ASSIGNOR", false},
	{"STALE_MEMBER_EPOCH", false},
	{"MISMATCHED_ENDPOINT_TYPE", false},
	{"UNSUPPORTED_ENDPOINT_TYPE", false},
	{"UNKNOWN_CONTROLLER_ID", false},
	{"UNKNOWN_SUBSCRIPTION_ID", false},
	{"TELEMETRY_TOO_LARGE", false},
	{"INVALID_REGISTRATION", false},
	{"TRANSACTION_ABORTABLE", false},
	{"INVALID_RECORD_STATE", false},
	{"SHARE_SESSION_NOT_FOUND", true},
	{"INVALID_SHARE_SESSION_EPOCH", true},
	{"FENCED_STATE_EPOCH", false},
	{"INVALID_VOTER_KEY", false},
	{"DUPLICATE_VOTER", false},
	{"VOTER_NOT_FOUND", false},
	{"INVALID_REGULAR_EXPRESSION", false},
	{"REBOOTSTRAP_REQUIRED", false},
	{"STREAMS_INVALID_TOPOLOGY", false},
	{"STREAMS_INVALID_TOPOLOGY_EPOCH", false},
	{"STREAMS_TOPOLOGY_FENCED", false},
	{"SHARE_SESSION_LIMIT_REACHED", true},
	{"GROUP_DELETION_FAILED", false},
	{"STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", false},
	{"CONTROLLER_ID_NOT_REGISTERED", false},
}
