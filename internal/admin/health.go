// Package admin serves what operators and orchestrators ask the broker: is it
// alive, is it ready, what is it doing, and reload.
package admin

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// Health answers GET /live and /ready: 200 or 503, with a JSON object that
// says the same. Live is true as long as the process serves requests.
func Health(ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]bool{"live": true})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			reply(w, http.StatusServiceUnavailable, map[string]bool{"ready": false})
			return
		}
		reply(w, http.StatusOK, map[string]bool{"ready": true})
	})
	return mux
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client went away: nobody is left to tell
}

// Server is a running HTTP server on a listener it owns.
type Server struct {
	http *http.Server
	done chan struct{}
}

// requestTimeout bounds reading a request and writing its answer.
const requestTimeout = 10 * time.Second

// Serve serves h on l until Close. The server's clients are local, but not
// trusted: header size and times are bounded.
func Serve(l net.Listener, h http.Handler) *Server {
	s := &Server{
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: requestTimeout,
			ReadTimeout:       requestTimeout,
			IdleTimeout:       requestTimeout,
			MaxHeaderBytes:    8 << 10,
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // always an error: ErrServerClosed after Close
	}()
	return s
}

// Close ends the server: requests under way have until ctx ends.
func (s *Server) Close(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}
