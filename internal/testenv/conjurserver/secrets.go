package conjurserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// secrets serves one variable, or a batch.
func (s *Server) secrets(w http.ResponseWriter, r *http.Request, parts []string) {
	if !s.authorized(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if len(parts) == 1 {
		s.batch(w, r)
		return
	}
	if len(parts) != 4 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	v, status := s.find(strings.Join(parts[1:], ":"))
	if status != http.StatusOK {
		answerError(w, status, strings.Join(parts[1:], ":"))
		return
	}
	n := len(v.Values)
	if text := r.URL.Query().Get("version"); text != "" {
		asked, err := strconv.Atoi(text)
		if err != nil || asked < 1 || asked > n {
			answerError(w, http.StatusNotFound, strings.Join(parts[1:], ":"))
			return
		}
		n = asked
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(v.Values[n-1])
}

func (s *Server) find(full string) (*Variable, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.variables[full]
	switch {
	case v == nil || len(v.Values) == 0:
		return nil, http.StatusNotFound
	case v.Denied:
		return nil, http.StatusForbidden
	}
	return v, http.StatusOK
}

func (s *Server) batch(w http.ResponseWriter, r *http.Request) {
	encode := strings.Contains(r.Header.Get("Accept-Encoding"), "base64") && !s.Old
	out := map[string]string{}
	for _, full := range strings.Split(r.URL.Query().Get("variable_ids"), ",") {
		v, status := s.find(full)
		if status != http.StatusOK {
			answerError(w, status, full)
			return
		}
		value := v.Values[len(v.Values)-1]
		switch {
		case encode:
			out[full] = base64.StdEncoding.EncodeToString(value)
		case !utf8.Valid(value):
			w.WriteHeader(http.StatusNotAcceptable)
			return
		default:
			out[full] = string(value)
		}
	}
	if encode {
		w.Header().Set("Content-Encoding", "base64")
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// answerError has the form of Conjur's own.
func answerError(w http.ResponseWriter, status int, full string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status != http.StatusNotFound {
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": "not_found", "message": fmt.Sprintf("CONJ00076E Variable %s is empty or not found.", full), "target": "variable",
	}})
}
