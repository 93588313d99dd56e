//! What the system says of an error, in Chinese as well.

use alloc::borrow::ToOwned;
use alloc::string::String;

use crate::Said;

/// The system's words for an error. Those that are rare are shown as they are.
pub fn system(words: String) -> Said {
    let chinese = match words.as_str() {
        "permission denied" => "权限不够",
        "operation not permitted" => "不允许的操作",
        "operation not supported" => "不支持的操作",
        "no such file or directory" => "没有那个文件或目录",
        "no such process" => "没有那个进程",
        "no such device" => "没有那个设备",
        "invalid argument" => "无效的参数",
        "file exists" => "文件已存在",
        "not a directory" => "不是目录",
        "is a directory" => "是目录",
        "read-only file system" => "只读文件系统",
        "no space left on device" => "设备上没有空间",
        "input/output error" => "输入/输出错误",
        "device or resource busy" => "设备或资源忙",
        "resource busy" => "资源忙",
        "resource temporarily unavailable" => "资源暂时不可用",
        "cannot allocate memory" => "无法分配内存",
        "out of memory" => "内存不足",
        "too many open files" => "打开的文件太多",
        other => other,
    }
    .to_owned();
    Said::new(words, chinese)
}
