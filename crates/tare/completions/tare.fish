# Completion of tare for fish.
function __tare_complete
    set -l words (commandline --tokenize --cut-at-cursor) (commandline --current-token --cut-at-cursor)
    for line in ($words[1] __complete $words[2..] 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline --current-token)
            case :directories
                __fish_complete_directories (commandline --current-token)
            case '*'
                echo $line
        end
    end
end
complete --command tare --no-files --arguments '(__tare_complete)'
