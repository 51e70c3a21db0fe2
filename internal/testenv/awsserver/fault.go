package awsserver

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Kind is a way to misbehave.
type Kind int

// The ways to misbehave.
const (
	Slow     Kind = iota // never answers
	Broken               // HTTP 500 with a text of the fault
	Busy                 // HTTP 503
	Throttle             // the code that asks for a lower rate
	Garbage              // a web page with the text of the fault, HTTP 200
	Huge                 // an answer without end
	Redirect             // HTTP 307 to the text of the fault
	Hangup               // ends the connection
	Refuse               // HTTP 400 with Code, and the text as its message
)

// Fault is what happens to requests.
type Fault struct {
	Kind Kind
	// Action limits it to one; empty means all.
	Action string
	// Times is how often it happens; zero means always.
	Times int
	Code  string
	Text  string
}

// Misbehave replaces the faults; none ends them.
func (s *Server) Misbehave(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

func (s *Server) fault(action string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		f := &s.faults[i]
		if f.Action != "" && f.Action != action || f.Times < 0 {
			continue
		}
		if f.Times--; f.Times == 0 {
			f.Times = -1 // used up
		} else if f.Times < 0 {
			f.Times = 0 // always
		}
		return *f, true
	}
	return Fault{}, false
}

// misbehave answers for a fault, if there is one.
func (s *Server) misbehave(w http.ResponseWriter, r *http.Request, action string) bool {
	f, ok := s.fault(action)
	if !ok {
		return false
	}
	s.note(Call{Action: action, Code: fmt.Sprintf("fault %d", f.Kind)})
	switch f.Kind {
	case Slow:
		select {
		case <-r.Context().Done():
		case <-s.ended:
		}
	case Broken:
		http.Error(w, f.Text, http.StatusInternalServerError)
	case Busy:
		w.WriteHeader(http.StatusServiceUnavailable)
	case Throttle:
		s.answerError(w, action, refuse("ThrottlingException", "Rate exceeded %s", f.Text))
	case Garbage:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>"+f.Text+"</html>")
	case Huge:
		s.endless(w, r)
	case Redirect:
		w.Header().Set("Location", f.Text)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case Hangup:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	case Refuse:
		s.answerError(w, action, refuse(f.Code, "%s", f.Text))
	}
	return true
}

// endless is a string in JSON that does not end until the client has enough.
func (s *Server) endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if _, err := io.WriteString(w, `{"Name":"x","SecretString":"`); err != nil {
		return
	}
	chunk := strings.Repeat("x", 64<<10)
	for range 1024 { // 64 MiB
		if r.Context().Err() != nil {
			return
		}
		if _, err := io.WriteString(w, chunk); err != nil {
			return
		}
	}
}
