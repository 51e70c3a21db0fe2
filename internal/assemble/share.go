package assemble

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"secretless/internal/audit"
	"secretless/internal/broker"
	"secretless/internal/connector"
	"secretless/internal/secret"
)

// share makes one broker.Service of services that listen on one address: a
// connection belongs to all of them until its requests say to which. What is
// about connections must therefore be the same for all.
func (b *build) share() {
	var all []*broker.Service
	for _, group := range b.groups() {
		if len(group) == 1 {
			all = append(all, group[0])
			continue
		}
		b.checkAlike(group)
		shared, err := b.sharedConnector(group)
		if err != nil {
			b.reportMember(err)
			all = append(all, group...)
			continue
		}
		all = append(all, merge(group, shared))
	}
	b.services = all
}

// groups are the services that go together, in file order.
func (b *build) groups() [][]*broker.Service {
	var groups [][]*broker.Service
	at := map[broker.Address]int{}
	for _, s := range b.services {
		n := len(groups)
		if b.connectors[s.Kind].Share != nil {
			for _, a := range s.Listen {
				if other, ok := at[a]; ok {
					n = other
				}
			}
			for _, a := range s.Listen {
				at[a] = n
			}
		}
		if n == len(groups) {
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], s)
	}
	return groups
}

// checkAlike reports members that differ in what they have in common.
func (b *build) checkAlike(group []*broker.Service) {
	first := b.sources[group[0]]
	for _, s := range group[1:] {
		other := b.sources[s]
		if key := other.ListenerDifference(*first); key != "" {
			b.errorf(other.Locate(key), "service %q shares an address with service %q (line %d), whose %s (line %d) differs: connections belong to both; write the same in both",
				other.Name, first.Name, first.Pos.Line, key, first.Locate(key).Line)
		}
	}
}

func (b *build) sharedConnector(group []*broker.Service) (connector.Connector, error) {
	members := make([]connector.Member, len(group))
	for i, s := range group {
		members[i] = connector.Member{Service: s.Name, Kind: s.Kind, Connector: s.Connector, Credentials: s.Credentials}
	}
	return b.connectors[group[0].Kind].Share(members)
}

// reportMember adds the errors of a Share.
func (b *build) reportMember(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the tree is walked here
		for _, e := range joined.Unwrap() {
			b.reportMember(e)
		}
		return
	}
	m, ok := errors.AsType[*connector.MemberError](err)
	if !ok {
		b.errorf(b.file.Services[0].Pos, "%v", err)
		return
	}
	var text strings.Builder
	text.WriteString(m.Error())
	pos := b.file.Services[0].Pos
	for i := range b.file.Services {
		switch s := &b.file.Services[i]; s.Name {
		case m.Service:
			pos = s.Locate(m.Err.Path...)
		case m.Other:
			fmt.Fprintf(&text, "; service %q says so in line %d", s.Name, s.Locate(m.Err.Path...).Line)
		}
	}
	b.errorf(pos, "%s", text.String())
}

// merge is the service that runs in place of its members. Its name is the
// address, so that it stays the same when members come and go.
func merge(group []*broker.Service, shared connector.Connector) *broker.Service {
	merged := *group[0]
	merged.Name = merged.Listen[0].String()
	merged.Connector = shared
	var digests []string
	var credentials memberCredentials
	merged.References = map[string][]audit.Reference{}
	for _, s := range group {
		merged.Members = append(merged.Members, s.Name)
		digests = append(digests, s.Name+" "+s.Digest)
		credentials = append(credentials, s.Credentials)
		maps.Copy(merged.References, s.References)
		if s.Kind != merged.Kind {
			merged.Kind = "http"
		}
	}
	slices.Sort(digests)
	sum := sha256.Sum256([]byte(strings.Join(digests, "\n")))
	merged.Digest = hex.EncodeToString(sum[:])
	merged.Credentials = credentials
	merged.Close = func() {
		for _, s := range group {
			s.Close()
		}
	}
	return &merged
}

// memberCredentials are those of services that share an address: the connector
// asks the member that a request is for.
type memberCredentials []connector.Credentials

var errMembers = errors.New("a shared address has no credentials of its own")

// Get fails: nothing says whose are wanted.
func (memberCredentials) Get(context.Context) (*secret.Set, error) { return nil, errMembers }

// Suspended names the members whose target keeps rejecting their credentials.
func (m memberCredentials) Suspended() (names []string) {
	for _, c := range m {
		if s, ok := c.(interface{ Suspended() []string }); ok {
			names = append(names, s.Suspended()...)
		}
	}
	return names
}

// OnChange is that of every member.
func (m memberCredentials) OnChange(f func(service string, names []string)) {
	for _, c := range m {
		if c, ok := c.(connector.Changing); ok {
			c.OnChange(f)
		}
	}
}

// Rejected, Drop and Accepted are never called, for there is no set.
func (memberCredentials) Rejected(*secret.Set) bool { return false }
func (memberCredentials) Drop(*secret.Set) bool     { return false }
func (memberCredentials) Accepted(*secret.Set)      {}
