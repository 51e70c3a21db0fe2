// Package mysqlwire encodes and decodes the connection phase of the protocol
// of MySQL and MariaDB, for both sides. It knows bytes, not sockets, and no
// secrets: whoever passes a password in wipes the buffers it gets out.
package mysqlwire

import (
	"fmt"
	"strings"
)

// Capabilities are the capability flags of a connection: the 32 bits that
// MySQL and MariaDB share, above them MariaDB's extended ones.
type Capabilities uint64

// The flags, in the words of the protocol's documentation.
const (
	// ClientLongPassword is MariaDB's CLIENT_MYSQL too: a side that leaves it
	// out has extended capabilities.
	ClientLongPassword Capabilities = 1 << iota
	ClientFoundRows
	ClientLongFlag
	ClientConnectWithDB
	ClientNoSchema
	ClientCompress
	ClientODBC
	ClientLocalFiles
	ClientIgnoreSpace
	ClientProtocol41
	ClientInteractive
	ClientSSL
	ClientIgnoreSigpipe
	ClientTransactions
	ClientReserved
	ClientSecureConnection
	ClientMultiStatements
	ClientMultiResults
	ClientPSMultiResults
	ClientPluginAuth
	ClientConnectAttrs
	ClientPluginAuthLenencClientData
	ClientCanHandleExpiredPasswords
	ClientSessionTrack
	ClientDeprecateEOF
	ClientOptionalResultsetMetadata
	ClientZstdCompressionAlgorithm
	ClientQueryAttributes
	MultiFactorAuthentication
	ClientCapabilityExtension
	ClientSSLVerifyServerCert
	ClientRememberOptions
	MariaDBClientProgress
	MariaDBClientComMulti
	MariaDBClientStmtBulkOperations
	MariaDBClientExtendedMetadata
	MariaDBClientCacheMetadata
	MariaDBClientBulkUnitResults
)

// extendedShift is where MariaDB's extended capabilities begin.
const extendedShift = 32

func capabilityNames() []string {
	return []string{
		"CLIENT_LONG_PASSWORD", "CLIENT_FOUND_ROWS", "CLIENT_LONG_FLAG", "CLIENT_CONNECT_WITH_DB",
		"CLIENT_NO_SCHEMA", "CLIENT_COMPRESS", "CLIENT_ODBC", "CLIENT_LOCAL_FILES",
		"CLIENT_IGNORE_SPACE", "CLIENT_PROTOCOL_41", "CLIENT_INTERACTIVE", "CLIENT_SSL",
		"CLIENT_IGNORE_SIGPIPE", "CLIENT_TRANSACTIONS", "CLIENT_RESERVED", "CLIENT_SECURE_CONNECTION",
		"CLIENT_MULTI_STATEMENTS", "CLIENT_MULTI_RESULTS", "CLIENT_PS_MULTI_RESULTS", "CLIENT_PLUGIN_AUTH",
		"CLIENT_CONNECT_ATTRS", "CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA", "CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS", "CLIENT_SESSION_TRACK",
		"CLIENT_DEPRECATE_EOF", "CLIENT_OPTIONAL_RESULTSET_METADATA", "CLIENT_ZSTD_COMPRESSION_ALGORITHM", "CLIENT_QUERY_ATTRIBUTES",
		"MULTI_FACTOR_AUTHENTICATION", "CLIENT_CAPABILITY_EXTENSION", "CLIENT_SSL_VERIFY_SERVER_CERT", "CLIENT_REMEMBER_OPTIONS",
		"MARIADB_CLIENT_PROGRESS", "MARIADB_CLIENT_COM_MULTI", "MARIADB_CLIENT_STMT_BULK_OPERATIONS", "MARIADB_CLIENT_EXTENDED_METADATA",
		"MARIADB_CLIENT_CACHE_METADATA", "MARIADB_CLIENT_BULK_UNIT_RESULTS",
	}
}

// Has says whether c has every flag of all.
func (c Capabilities) Has(all Capabilities) bool { return c&all == all }

// String lists the flags by name, unknown ones by bit.
func (c Capabilities) String() string {
	var out []string
	names := capabilityNames()
	for bit := range 64 {
		switch {
		case c&(1<<bit) == 0:
		case bit < len(names):
			out = append(out, names[bit])
		default:
			out = append(out, fmt.Sprintf("bit %d", bit))
		}
	}
	return strings.Join(out, ", ")
}

// extended are MariaDB's extended capabilities as they are sent, which a side
// that calls itself MySQL has none of.
func (c Capabilities) extended() uint32 {
	if c.Has(ClientLongPassword) {
		return 0
	}
	return uint32(c >> extendedShift)
}

// withExtended adds extended capabilities where c may have them.
func (c Capabilities) withExtended(sent uint32) Capabilities {
	if c.Has(ClientLongPassword) {
		return c
	}
	return c | Capabilities(sent)<<extendedShift
}
