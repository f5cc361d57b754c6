// fit is runc for a machine that lacks capabilities.
//
// A privileged container is to get every capability that the kernel knows, and runc fails where one of them
// cannot be given. fit takes those that this process does not hold itself out of what the engine wrote, and
// becomes runc with the same arguments.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Names by number, without CAP_, as linux/capability.h has them.
const all = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
	"NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT " +
	"SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE " +
	"AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ " +
	"PERFMON BPF CHECKPOINT_RESTORE"

func main() {
	args := os.Args[1:]
	if err := fit(args); err != nil {
		fmt.Fprintln(os.Stderr, "fit:", err)
		os.Exit(1)
	}
	runc, err := exec.LookPath("runc")
	if err == nil {
		err = syscall.Exec(runc, append([]string{"runc"}, args...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "fit:", err)
	os.Exit(1)
}

// fit changes the files that say what a container or a further process in it may do.
func fit(args []string) error {
	if bundle := option(args, "--bundle", "-b"); bundle != "" {
		return edit(filepath.Join(bundle, "config.json"), func(document map[string]any) map[string]any {
			process, _ := document["process"].(map[string]any)
			return process
		})
	}
	if process := option(args, "--process", "-p"); process != "" {
		return edit(process, func(document map[string]any) map[string]any { return document })
	}
	return nil
}

func option(args []string, names ...string) string {
	for i, arg := range args {
		for _, name := range names {
			if value, ok := strings.CutPrefix(arg, name+"="); ok {
				return value
			}
			if arg == name && i+1 < len(args) {
				return args[i+1]
			}
		}
	}
	return ""
}

// edit keeps, of every set of capabilities of the process in a file, what this process holds.
func edit(file string, processOf func(map[string]any) map[string]any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber() // limits are larger than a float holds exactly
	var document map[string]any
	if err := decoder.Decode(&document); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	held, err := heldCapabilities()
	if err != nil {
		return err
	}
	sets, _ := processOf(document)["capabilities"].(map[string]any)
	for name, set := range sets {
		wanted, _ := set.([]any)
		kept := []any{}
		for _, capability := range wanted {
			if text, ok := capability.(string); ok && held[text] {
				kept = append(kept, text)
			}
		}
		sets[name] = kept
	}
	if text, err = json.Marshal(document); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func heldCapabilities() (map[string]bool, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	_, rest, found := strings.Cut(string(status), "CapPrm:")
	if !found {
		return nil, errors.New("/proc/self/status has no CapPrm")
	}
	line, _, _ := strings.Cut(rest, "\n")
	bits, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return nil, err
	}
	held := map[string]bool{}
	for number, name := range strings.Fields(all) {
		if bits>>number&1 == 1 {
			held["CAP_"+name] = true
		}
	}
	return held, nil
}
