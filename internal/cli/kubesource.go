package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"secretless/internal/config"
	"secretless/internal/kubeapi"
	"secretless/internal/resource"
)

// crdManager is the configuration manager that reads a custom resource.
const crdManager = "k8s/crd"

// kubeSource is a custom resource of the namespace that the broker runs in.
type kubeSource struct {
	name, api string
	watcher   *resource.Watcher
}

func openKubeSource(env Env, name string, log *slog.Logger) (*kubeSource, error) {
	if !kubeapi.IsName(name) {
		return nil, fmt.Errorf("--config-mgr %s#%s: name a resource, of lower case letters, digits, dots and hyphens", crdManager, name)
	}
	suffix, _ := env.LookupEnv("SECRETLESS_CRD_SUFFIX")
	group := config.ResourceGroup(suffix)
	if !kubeapi.IsName(group) {
		return nil, fmt.Errorf("SECRETLESS_CRD_SUFFIX makes %q of the API group, which is no name", group)
	}
	return &kubeSource{
		name: name,
		api:  group + "/" + config.ResourceVersion,
		watcher: resource.Watch(resource.Options{
			Cluster: kubeapi.Cluster{LookupEnv: env.LookupEnv, PodDir: kubeapi.PodDir},
			Group:   group, Version: config.ResourceVersion, Plural: config.ResourcePlural,
			Name: name, Reporter: podName(env), Log: log,
		}),
	}, nil
}

// podName is the pod's, as it was told to the container or, usually, its host's.
func podName(env Env) string {
	if name, ok := env.LookupEnv("POD_NAME"); ok && kubeapi.IsName(name) {
		return name
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "a broker"
}

func (s *kubeSource) String() string { return crdManager + "#" + s.name }

func (s *kubeSource) read() (source, error) {
	o, err := s.watcher.Current()
	if err != nil {
		return source{}, err
	}
	data, err := json.Marshal(map[string]any{
		"apiVersion": s.api,
		"kind":       config.ResourceKind,
		"metadata":   map[string]string{"name": o.Name, "namespace": o.Namespace},
		"spec":       o.Spec,
	})
	if err != nil { // not that of JSON that has been read as such
		return source{}, errors.New("the resource's spec is no JSON")
	}
	text, err := config.FromJSON(data)
	if err != nil {
		return source{}, err
	}
	return source{path: s.String(), name: strings.ToLower(config.ResourceKind) + "/" + s.name, data: text, resource: true}, nil
}

func (s *kubeSource) changes() <-chan struct{} { return s.watcher.Changes() }
func (s *kubeSource) state() string            { return s.watcher.State() }
func (s *kubeSource) waits() bool              { return true }
func (s *kubeSource) close()                   { s.watcher.Close() }

// report becomes the condition of the resource's status.
func (s *kubeSource) report(v verdict) {
	list, isList := errors.AsType[config.Errors](v.err)
	switch {
	case isList:
		s.watcher.Report(resource.Verdict{Reason: "Invalid", Lines: linesOf(list)})
	case v.err != nil:
		s.watcher.Report(resource.Verdict{Reason: "NotApplied", Lines: strings.Split(v.err.Error(), "\n")})
	default:
		lines := []string{"in effect"}
		if len(v.warnings) > 0 {
			lines = append([]string{"in effect, with warnings:"}, linesOf(v.warnings)...)
		}
		s.watcher.Report(resource.Verdict{Accepted: true, Reason: "Applied", Lines: lines, Services: v.services})
	}
}

// linesOf leaves the name of the resource out: it stands in the same object.
func linesOf(list []config.Diagnostic) []string {
	lines := make([]string, len(list))
	for i, d := range list {
		lines[i] = d.Text
		if d.Path != "" {
			lines[i] = d.Path + ": " + d.Text
		}
	}
	return lines
}
