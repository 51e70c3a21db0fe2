package testenv

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startSomewhere picks ports and starts; others if one is taken in between.
func (k *KubeServer) startSomewhere() error {
	var err error
	for range 10 {
		for i := range k.ports {
			if k.ports[i], err = freePort(false); err != nil {
				return err
			}
		}
		k.Port = k.ports[2]
		if err = k.start(); err == nil || !strings.Contains(k.Log(), "address already in use") {
			return err
		}
		k.Stop()
	}
	return err
}

// start runs etcd and the API server and returns when that is ready.
func (k *KubeServer) start() error {
	if err := k.writeKubeconfig(); err != nil {
		return err
	}
	etcd, err := k.run("etcd", "etcd.log", k.etcdOptions()...)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.etcd = etcd
	k.mu.Unlock()
	api, err := k.run("kube-apiserver", "api.log", k.apiOptions()...)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.api = api
	k.mu.Unlock()
	return k.ready(etcd, api)
}

// etcdOptions make it small and quick: what it loses if the machine stops is of
// no interest.
func (k *KubeServer) etcdOptions() []string {
	clients, peers := fmt.Sprintf("http://127.0.0.1:%d", k.ports[0]), fmt.Sprintf("http://127.0.0.1:%d", k.ports[1])
	return []string{
		"--data-dir=" + k.file("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
	}
}

func (k *KubeServer) apiOptions() []string {
	return []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", k.ports[0]),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", k.Port), "--endpoint-reconciler-type=none",
		"--cert-dir=" + k.dir, "--tls-cert-file=" + k.file("server.crt"), "--tls-private-key-file=" + k.file("server.key"),
		"--client-ca-file=" + k.CAFile(),
		"--authorization-mode=RBAC",
		// It would have every pod wait for a controller that makes accounts.
		"--disable-admission-plugins=ServiceAccount",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + k.file("accounts.pub"), "--service-account-signing-key-file=" + k.file("accounts.key"),
		"--service-cluster-ip-range=10.0.0.0/24", "--profiling=false",
	}
}

func (k *KubeServer) run(program, logName string, options ...string) (*process, error) {
	log, err := os.Create(k.file(logName))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(kubeProgram(program), options...)
	cmd.Dir = k.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"LC_ALL=C", "HOME=" + k.dir}
	proc, err := startProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return proc, nil
}

// ready waits until the server says so, its own roles for RBAC included, to a
// client that nobody but this server knows.
func (k *KubeServer) ready(etcd, api *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for {
		err := k.readyz(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-etcd.done:
			return fmt.Errorf("etcd ended (%v): %s", etcd.err, k.Log())
		case <-api.done:
			return fmt.Errorf("kube-apiserver ended (%v): %s", api.err, k.Log())
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready: %w: %s", err, k.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (k *KubeServer) readyz(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.URL()+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := k.admin.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}

// Stop ends the API server and etcd. It may be called on a stopped server.
func (k *KubeServer) Stop() { k.end(syscall.SIGTERM, syscall.SIGKILL) }

// Kill ends them at once; clients see their connections break. What was stored
// is there again after Restart.
func (k *KubeServer) Kill() { k.end(syscall.SIGKILL) }

func (k *KubeServer) end(signals ...os.Signal) {
	k.mu.Lock()
	procs := []*process{k.api, k.etcd}
	k.mu.Unlock()
	for _, p := range procs {
		if p != nil {
			_ = p.stop(10*time.Second, signals...)
		}
	}
}

// Restart starts a stopped, killed or running server again, on the same port.
func (k *KubeServer) Restart(t testing.TB) {
	t.Helper()
	k.Stop()
	if err := k.start(); err != nil {
		t.Fatal(err)
	}
}
