package kubeapi

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// kubeconfig is the part of a kubeconfig file that is understood. What would
// change who asks or whom, and is not understood, is read to be refused.
type kubeconfig struct {
	CurrentContext string         `yaml:"current-context"`
	Clusters       []namedCluster `yaml:"clusters"`
	Users          []namedUser    `yaml:"users"`
	Contexts       []namedContext `yaml:"contexts"`
}

type namedCluster struct {
	Name    string       `yaml:"name"`
	Cluster clusterEntry `yaml:"cluster"`
	dir     string       // relative paths begin here
}

type clusterEntry struct {
	Server     string `yaml:"server"`
	CA         string `yaml:"certificate-authority"`
	CAData     string `yaml:"certificate-authority-data"`
	ServerName string `yaml:"tls-server-name"`
	Proxy      string `yaml:"proxy-url"`
	Insecure   bool   `yaml:"insecure-skip-tls-verify"`
}

type namedUser struct {
	Name string    `yaml:"name"`
	User userEntry `yaml:"user"`
	dir  string
}

type userEntry struct {
	Token     string `yaml:"token"`
	TokenFile string `yaml:"tokenFile"`
	Cert      string `yaml:"client-certificate"`
	CertData  string `yaml:"client-certificate-data"`
	Key       string `yaml:"client-key"`
	KeyData   string `yaml:"client-key-data"`

	Exec         yaml.Node `yaml:"exec"`
	AuthProvider yaml.Node `yaml:"auth-provider"`
	Username     string    `yaml:"username"`
	As           string    `yaml:"as"`
	AsUID        string    `yaml:"as-uid"`
	AsGroups     []string  `yaml:"as-groups"`
}

type namedContext struct {
	Name    string `yaml:"name"`
	Context struct {
		Cluster   string `yaml:"cluster"`
		User      string `yaml:"user"`
		Namespace string `yaml:"namespace"`
	} `yaml:"context"`
}

// fromKubeconfig reads files as kubectl does: where two of them say the same,
// the first has its way, and those that do not exist are left out.
func fromKubeconfig(paths []string, context string) (*Access, error) {
	var all kubeconfig
	found := false
	for _, path := range paths {
		if path == "" {
			continue
		}
		err := all.add(path)
		if errors.Is(err, fs.ErrNotExist) && len(paths) > 1 {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = true
	}
	if !found {
		return nil, errors.New("no file of KUBECONFIG exists")
	}
	return all.access(context)
}

func (k *kubeconfig) add(path string) error {
	text, err := readFile(path, maxConfig)
	if err != nil {
		return err
	}
	defer clear(text)
	one, err := parseKubeconfig(text)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	dir := filepath.Dir(path)
	if k.CurrentContext == "" {
		k.CurrentContext = one.CurrentContext
	}
	for _, c := range one.Clusters {
		c.dir = dir
		k.Clusters = append(k.Clusters, c)
	}
	for _, u := range one.Users {
		u.dir = dir
		k.Users = append(k.Users, u)
	}
	k.Contexts = append(k.Contexts, one.Contexts...)
	return nil
}

var yamlLine = regexp.MustCompile(`line \d+`)

// parseKubeconfig drops the text of the YAML library's errors, which quotes
// what it cannot read.
func parseKubeconfig(text []byte) (kubeconfig, error) {
	var k kubeconfig
	if err := yaml.Unmarshal(text, &k); err != nil {
		if where := yamlLine.FindString(err.Error()); where != "" {
			return kubeconfig{}, fmt.Errorf("%s is not what a kubeconfig has there", where)
		}
		return kubeconfig{}, errors.New("it is no YAML")
	}
	return k, nil
}

// access is what the context says, or the current one if it is empty.
func (k *kubeconfig) access(context string) (*Access, error) {
	if context == "" {
		context = k.CurrentContext
	}
	if context == "" {
		return nil, errors.New("the kubeconfig has no current-context: set context")
	}
	for _, c := range k.Contexts {
		if c.Name == context {
			a, err := k.enter(c)
			if err != nil {
				return nil, fmt.Errorf("kubeconfig, context %q: %w", context, err)
			}
			return a, nil
		}
	}
	return nil, fmt.Errorf("the kubeconfig has no context %q", context)
}

func (k *kubeconfig) enter(c namedContext) (*Access, error) {
	a := &Access{Namespace: c.Context.Namespace}
	if a.Namespace != "" {
		if err := CheckNamespace(a.Namespace); err != nil {
			return nil, err
		}
	}
	for _, n := range k.Clusters {
		if n.Name == c.Context.Cluster {
			if err := n.apply(a); err != nil {
				return nil, fmt.Errorf("cluster %q: %w", n.Name, err)
			}
			break
		}
	}
	if a.server == nil {
		return nil, fmt.Errorf("there is no cluster %q", c.Context.Cluster)
	}
	for _, n := range k.Users {
		if n.Name == c.Context.User {
			if err := n.apply(a); err != nil {
				return nil, fmt.Errorf("user %q: %w", n.Name, err)
			}
			return a, nil
		}
	}
	return nil, fmt.Errorf("there is no user %q", c.Context.User)
}
