package connectortest

import (
	"context"
	"fmt"
	"sync"

	"secretless/internal/secret"
)

// Answers are the credentials of a Front: each lookup yields the next of Sets,
// the last one again and again. Safe for concurrent use; set the fields before.
type Answers struct {
	Sets []map[string]string
	// Err, if any, is what every lookup yields.
	Err error
	// Cached says that the first Rejected or Drop asks for one more lookup.
	Cached bool

	mu                         sync.Mutex
	gets, rejections, accepted int
}

// Get implements connector.Credentials.
func (a *Answers) Get(context.Context) (*secret.Set, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gets++
	if a.Err != nil {
		return nil, a.Err
	}
	values := map[string]secret.Value{}
	for name, text := range a.Sets[min(a.gets, len(a.Sets))-1] {
		values[name] = secret.Copy(text)
	}
	return secret.NewSet(values), nil
}

// Rejected implements connector.Credentials.
func (a *Answers) Rejected(*secret.Set) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rejections++
	return a.Cached && a.rejections == 1
}

// Drop implements connector.Credentials.
func (a *Answers) Drop(set *secret.Set) bool { return a.Rejected(set) }

// Accepted implements connector.Credentials.
func (a *Answers) Accepted(*secret.Set) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepted++
}

// Lookups is how often Get was called.
func (a *Answers) Lookups() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gets
}

// Counts says how often Get, Rejected or Drop, and Accepted were called.
func (a *Answers) Counts() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("%d lookups, %d rejected, %d accepted", a.gets, a.rejections, a.accepted)
}
