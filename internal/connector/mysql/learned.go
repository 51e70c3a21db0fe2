package mysql

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"secretless/internal/wire/mysqlwire"
)

const (
	// unknownVersion is told to clients before the target is known. Drivers
	// branch on it: most of them ask a newer server for nothing that an older
	// one lacks.
	unknownVersion = "8.0.11"
	// unknownCharset is utf8mb4_general_ci, which all servers know.
	unknownCharset = 45
	autocommit     = 2
	// narrowed is how long flags are withheld that one of several targets
	// behind a name has turned out not to have.
	narrowed = 10 * time.Minute
)

// handled are the flags that the broker deals with on either side by itself.
const handled = mysqlwire.ClientProtocol41 | mysqlwire.ClientSecureConnection | mysqlwire.ClientPluginAuth |
	mysqlwire.ClientPluginAuthLenencClientData | mysqlwire.ClientConnectWithDB | mysqlwire.ClientConnectAttrs

// universal are the flags that every server since MySQL 5.6 has: what can be
// promised before the target is known.
const universal = handled | mysqlwire.ClientLongPassword | mysqlwire.ClientFoundRows | mysqlwire.ClientLongFlag |
	mysqlwire.ClientNoSchema | mysqlwire.ClientODBC | mysqlwire.ClientLocalFiles | mysqlwire.ClientIgnoreSpace |
	mysqlwire.ClientInteractive | mysqlwire.ClientIgnoreSigpipe | mysqlwire.ClientTransactions | mysqlwire.ClientReserved |
	mysqlwire.ClientMultiStatements | mysqlwire.ClientMultiResults | mysqlwire.ClientPSMultiResults |
	mysqlwire.ClientCanHandleExpiredPasswords

// binding are the flags that change what is on the wire after the login: what
// the client believes to be negotiated must be negotiated with the target.
const binding = mysqlwire.ClientCompress | mysqlwire.ClientZstdCompressionAlgorithm | mysqlwire.ClientTransactions |
	mysqlwire.ClientMultiResults | mysqlwire.ClientPSMultiResults | mysqlwire.ClientSessionTrack | mysqlwire.ClientDeprecateEOF |
	mysqlwire.ClientOptionalResultsetMetadata | mysqlwire.ClientQueryAttributes | extended

// extended are the capabilities that MariaDB alone has.
const extended = mysqlwire.MariaDBClientProgress | mysqlwire.MariaDBClientComMulti | mysqlwire.MariaDBClientStmtBulkOperations |
	mysqlwire.MariaDBClientExtendedMetadata | mysqlwire.MariaDBClientCacheMetadata | mysqlwire.MariaDBClientBulkUnitResults

// offerable are all that may be offered: none that is unknown or that would
// need the broker to take part, as a second factor.
const offerable = universal | binding | mysqlwire.ClientRememberOptions

// learned is what the service's target was like when the broker last logged in
// to it. MySQL's server speaks first, and a client that may be a probe is not
// worth a target connection, so it is greeted from memory.
type learned struct {
	mu      sync.Mutex
	known   bool
	last    mysqlwire.HandshakeV10
	narrows time.Time // until then, flags are only taken away
	// asking is closed when the one connection that asks an unknown target
	// has its answer, or none.
	asking chan struct{}
}

// enquire says whether the caller is to ask the target for its greeting: one
// at a time is, as long as the target is not known. The others wait for that
// one's answer, and make do without if there is none. Whoever asks calls
// answered when that has been tried.
func (l *learned) enquire(ctx context.Context) (ask bool, answered func()) {
	l.mu.Lock()
	known, asking := l.known, l.asking
	if !known && asking == nil {
		own := make(chan struct{})
		l.asking = own
		l.mu.Unlock()
		return true, sync.OnceFunc(func() { l.answered(own) })
	}
	l.mu.Unlock()
	if !known {
		select {
		case <-asking:
		case <-ctx.Done():
		}
	}
	return false, func() {}
}

// answered lets those go on who wait for own.
func (l *learned) answered(own chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking == own {
		l.asking = nil
		close(own)
	}
}

// meet remembers the greeting of a target that was not known, and lets those
// go on who wait for it. What it says is used for offers to clients alone, so
// it need not have proven who it is yet.
func (l *learned) meet(h mysqlwire.HandshakeV10) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known {
		return
	}
	l.known, l.last = true, h
	l.last.Scramble = nil
	if l.asking != nil {
		close(l.asking)
		l.asking = nil
	}
}

// greeting is what a client is greeted with while the target is not asked.
// Its connection id is 0: any other could be that of somebody else's
// connection at the target, which a client's KILL would hit.
func (l *learned) greeting(config Config) mysqlwire.HandshakeV10 {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := mysqlwire.HandshakeV10{ServerVersion: unknownVersion, Capabilities: universal, Charset: unknownCharset, Status: autocommit}
	if l.known {
		h = l.last
	}
	h.ConnectionID = 0
	return presented(h, config)
}

// version is what the target that was last logged in to calls itself.
func (l *learned) version() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last.ServerVersion
}

// presented is a target's greeting as clients get it.
func presented(h mysqlwire.HandshakeV10, config Config) mysqlwire.HandshakeV10 {
	if config.ServerVersion != "" {
		h.ServerVersion = config.ServerVersion
	}
	h.Capabilities = h.Capabilities&offerable | handled
	h.Scramble = newScramble()
	h.Plugin = pluginNative
	return h
}

// newScramble is a challenge without NUL, which would end it for some clients.
func newScramble() []byte {
	out := make([]byte, mysqlwire.ScrambleSize)
	_, _ = rand.Read(out) // never fails, see crypto/rand
	for i := range out {
		out[i] = out[i]%94 + '!'
	}
	return out
}

// learn remembers the greeting of a target that the broker has logged in to.
func (l *learned) learn(h mysqlwire.HandshakeV10) {
	l.mu.Lock()
	defer l.mu.Unlock()
	flags := h.Capabilities
	if l.known && time.Now().Before(l.narrows) {
		flags &= l.last.Capabilities
	}
	l.known, l.last = true, h
	l.last.Capabilities = flags
	l.last.Scramble = nil
}

// lacks notes that h has less than clients were offered. For some time only
// what all targets have is offered: behind one name may be several versions.
func (l *learned) lacks(h mysqlwire.HandshakeV10) {
	l.mu.Lock()
	l.narrows = time.Now().Add(narrowed)
	l.mu.Unlock()
	l.learn(h)
}
