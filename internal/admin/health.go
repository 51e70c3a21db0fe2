// Package admin serves what operators and orchestrators ask the broker: is it
// alive, is it ready, what is it doing, and reload.
package admin

import (
	"encoding/json"
	"net/http"

	"secretless/internal/plainjson"
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
	_ = json.NewEncoder(plainjson.Writer(w)).Encode(body) // the client went away: nobody is left to tell
}
